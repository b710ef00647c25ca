"""The one table from the gateway's refusals to the words and HTTP statuses that callers see."""

from types import TracebackType

import msgspec

from compat import errors as words
from compat.errors import PanelError
from gateway import errors
from gateway.keyring import KeyringError


class Wire(msgspec.Struct, frozen=True):
    """How one refusal looks on the panel's wire; `data` names what of it fills the gaps in `text`."""

    text: str
    status: int = 200
    data: tuple[str, ...] = ()


PANEL: dict[type[errors.GatewayError], Wire] = {
    errors.InvalidKey: Wire(words.INVALID_KEY),
    errors.AddressNotAllowed: Wire(words.INVALID_KEY),
    errors.Forbidden: Wire(words.INVALID_KEY),
    errors.TooManyRequests: Wire(words.TOO_MANY_REQUESTS, 429),
    errors.Unavailable: Wire(words.UNAVAILABLE, 503),
    errors.ProviderFailed: Wire(words.UNAVAILABLE, 503),
    errors.BadRequest: Wire(words.INCORRECT_REQUEST),
    errors.Invalid: Wire(words.INCORRECT_REQUEST),
    errors.ChangedMeanwhile: Wire(words.INCORRECT_REQUEST),
    errors.UnknownService: Wire(words.INCORRECT_SERVICE),
    errors.ServiceDisabled: Wire(words.DISABLED_SERVICE),
    errors.InsufficientFunds: Wire(words.NOT_ENOUGH_FUNDS),
    errors.SpendCapReached: Wire(words.NOT_ENOUGH_FUNDS),
    errors.IdempotencyMismatch: Wire(words.IDEMPOTENCY_MISMATCH),
    errors.ActiveOrder: Wire(words.ACTIVE_ORDER),
    errors.IncorrectQuantity: Wire(words.INCORRECT_QUANTITY),
    errors.QuantityTooLow: Wire(words.QUANTITY_LESS, data=("minimum",)),
    errors.QuantityTooHigh: Wire(words.QUANTITY_MORE, data=("maximum",)),
    errors.CannotCancel: Wire(words.INCORRECT_REQUEST),
    errors.RefillDisabled: Wire(words.REFILL_DISABLED),
    errors.OrderNotCompleted: Wire(words.ORDER_NOT_COMPLETED),
    errors.RefillTooEarly: Wire(words.REFILL_TOO_EARLY),
    errors.ConfigurationError: Wire(words.UNAVAILABLE, 503),
    KeyringError: Wire(words.UNAVAILABLE, 503),
    errors.NotFound: Wire(words.INCORRECT_REQUEST),
    errors.Conflict: Wire(words.INCORRECT_REQUEST),
    errors.ReferenceTaken: Wire(words.INCORRECT_REQUEST),
    errors.AlreadyBooked: Wire(words.INCORRECT_REQUEST),
}

_nearest: dict[type[errors.GatewayError], Wire] = {}
"""Of kinds that were looked for."""


def to_panel_error(error: errors.GatewayError) -> PanelError:
    """The refusal in the protocol's words, those of its nearest kind in the table; nothing else of it goes out."""
    kind = type(error)
    wire = _nearest.get(kind) or _nearest.setdefault(kind, next(PANEL[each] for each in kind.__mro__ if each in PANEL))
    text = wire.text.format(*(getattr(error, name) for name in wire.data)) if wire.data else wire.text
    headers = error.headers if isinstance(error, errors.TooManyRequests) else None
    refusal = PanelError(text, status=wire.status, headers=headers)
    if isinstance(error, errors.Unavailable):
        refusal.placed = error.placed
    return refusal


class panel_words:
    """Raise the gateway's refusals in the block as those of the panel protocol; a class, since it is on every path."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, errors.GatewayError):
            raise to_panel_error(error) from error
