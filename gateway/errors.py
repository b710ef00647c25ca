"""Every business refusal: what was refused and with which data. None of them knows HTTP.

GatewayError
├── InvalidKey · AddressNotAllowed · Forbidden · TooManyRequests
├── Unavailable (InProgress, ProviderFailed) · BadRequest (TooLarge, UnsupportedMediaType) · Invalid · ChangedMeanwhile
├── UnknownService · ServiceDisabled · InsufficientFunds
├── IncorrectQuantity · QuantityTooLow · QuantityTooHigh
├── IdempotencyMismatch · ActiveOrder · SpendCapReached
├── CannotCancel · RefillDisabled · OrderNotCompleted · RefillTooEarly
└── ConfigurationError · NotFound · Conflict (ReferenceTaken (AlreadyBooked))
"""

from datetime import datetime
from decimal import Decimal
from types import TracebackType
from uuid import UUID


class GatewayError(Exception):
    """A refusal with a reason; its docstring is its message where it has no data of its own."""

    def __init__(self) -> None:
        super().__init__((self.__doc__ or "").strip())


class InvalidKey(GatewayError):
    """The key is unknown, malformed, expired, revoked or its user may not use it."""


class AddressNotAllowed(GatewayError):
    """The key may not be used from this address."""


class Forbidden(GatewayError):
    """The key does not have the scope that this takes."""

    def __init__(self, scope: str) -> None:
        Exception.__init__(self, f"this takes a key with the scope {scope}")
        self.scope = scope


class TooManyRequests(GatewayError):
    """The limit of this key or address is reached."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__()
        self.headers = headers


class Unavailable(GatewayError):
    """We cannot answer for ourselves right now.

    `placed` is False where it is certain that nothing was written, None where it is not known.
    """

    def __init__(self, what: str, *, placed: bool | None = None) -> None:
        Exception.__init__(self, what)
        self.what = what
        self.placed = placed


class nothing_placed:
    """For what comes before an order is written: whatever fails there, none was placed.

    A class, since it is on every path.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Unavailable) and error.placed is not False:
            raise Unavailable(error.what, placed=False) from error


class InProgress(Unavailable):
    """A request with the same idempotency key is being answered right now."""

    def __init__(self) -> None:
        super().__init__("a request with the same idempotency key is being answered right now", placed=False)


class ProviderFailed(Unavailable):
    """A provider did not answer, or said what cannot be taken from it."""

    def __init__(self, what: str) -> None:
        super().__init__(what, placed=False)


class BadRequest(GatewayError):
    """The request cannot be read."""

    def __init__(self, what: str) -> None:
        Exception.__init__(self, what)


class TooLarge(BadRequest):
    """The body is too large."""

    def __init__(self) -> None:
        super().__init__("the body is too large")


class UnsupportedMediaType(BadRequest):
    """The body is of another media type."""

    def __init__(self) -> None:
        super().__init__("a body is application/json")


class Invalid(GatewayError):
    """The fields do not hold; `faults` has the path of each one at fault, and what is wrong with it."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        Exception.__init__(self, "; ".join(f"{path}: {what}" for path, what in faults))
        self.faults = faults


class ChangedMeanwhile(GatewayError):
    """It is not as it was when the caller read it."""


class UnknownService(GatewayError):
    """No such service is sold to this account."""


class ServiceDisabled(GatewayError):
    """The service is switched off."""


class InsufficientFunds(GatewayError):
    """What can be spent does not cover the price."""


class IdempotencyMismatch(GatewayError):
    """The idempotency key stands for a request with other fields."""


class ActiveOrder(GatewayError):
    """An order of this service for the same link is still active, and the key refuses a second one."""


class SpendCapReached(GatewayError):
    """The order would take the key above what it may spend in a day."""


class IncorrectQuantity(GatewayError):
    """The quantity is missing or not a whole number of at most nine ASCII digits."""


class QuantityTooLow(GatewayError):
    """The quantity is below the service's minimum."""

    def __init__(self, minimum: int) -> None:
        Exception.__init__(self, f"the quantity is below the service's minimum of {minimum}")
        self.minimum = minimum


class QuantityTooHigh(GatewayError):
    """The quantity is above the service's maximum."""

    def __init__(self, maximum: int) -> None:
        Exception.__init__(self, f"the quantity is above the service's maximum of {maximum}")
        self.maximum = maximum


class CannotCancel(GatewayError):
    """The service cannot be cancelled, or the order has ended."""


class RefillDisabled(GatewayError):
    """The service has no refill."""


class OrderNotCompleted(GatewayError):
    """Only a completed order is refilled."""


class RefillTooEarly(GatewayError):
    """The order was completed, or its last refill asked for, too short a time ago."""


class ConfigurationError(GatewayError):
    """The settings do not hold together; `problems` has one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        Exception.__init__(self, "\n".join(problems))
        self.problems = problems


class NotFound(GatewayError):
    """There is no such thing."""

    def __init__(self, what: str) -> None:
        Exception.__init__(self, f"{what} not found")
        self.what = what


class Conflict(GatewayError):
    """It contradicts what is already recorded."""

    def __init__(self, what: str) -> None:
        Exception.__init__(self, what)
        self.what = what


class ReferenceTaken(Conflict):
    """The reference stands for another amount; `entry` is the ledger row that was booked with it."""

    def __init__(self, what: str, entry: UUID, amount: Decimal, booked_at: datetime) -> None:
        super().__init__(what)
        self.entry = entry
        self.amount = amount
        self.booked_at = booked_at


class AlreadyBooked(ReferenceTaken):
    """The very same was booked with the reference before: nothing is left to be done."""
