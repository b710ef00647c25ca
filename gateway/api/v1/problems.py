"""What a refusal looks like in the native API: problem details (RFC 9457), from one table."""

from datetime import datetime
from uuid import UUID

import msgspec

from compat import errors as words
from compat.errors import PanelError
from gateway import errors
from gateway.api.v1.formats import Money, money
from gateway.keyring import KeyringError

MEDIA_TYPE = "application/problem+json"


class Fault(msgspec.Struct, frozen=True):
    """One field at fault: `path` begins with `$` in a body, with `query` or `header` elsewhere."""

    path: str
    message: str


class BookedEntry(msgspec.Struct, frozen=True):
    """The ledger row that a reference stands for."""

    id: UUID
    amount: Money
    created_at: datetime


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457; `type` names the kind of problem and is the address of a page about it.

    `detail` says what is wrong with this request, and `errors` which fields are. `entry` is what was booked before.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[Fault] = []
    entry: BookedEntry | None = None


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem; `help` is what its page says. Of some the details are for our log alone."""

    slug: str
    title: str
    status: int
    help: str
    is_detailed: bool = True
    field: str | None = None

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"


NOT_FOUND = Kind("not-found", "There is no such thing", 404, "Nothing with this id or number is yours.")
METHOD = Kind("method-not-allowed", "The method is not allowed here", 405, "`Allow` lists the methods of this path.")
INTERNAL = Kind(
    "internal",
    "The gateway failed",
    500,
    "An error of ours. With an `Idempotency-Key` the request can be sent again safely; tell us the `X-Request-Id`.",
    is_detailed=False,
)
BAD_REQUEST = Kind("bad-request", "The request cannot be read", 400, "It is not JSON, or not HTTP as it should be.")
UNAVAILABLE = Kind(
    "unavailable",
    "The service is temporarily unavailable",
    503,
    "Try again later. A POST with an `Idempotency-Key` can be sent again safely: it takes effect once.",
    is_detailed=False,
)
_INVALID_ORDER = "A field of the order does not hold; `errors` has its path."

KINDS: dict[type[errors.GatewayError], Kind] = {
    errors.InvalidKey: Kind(
        "invalid-key",
        "The API key is not valid",
        401,
        "Give `Authorization: Bearer` with a key that is neither revoked nor expired, of a user who is active.",
        is_detailed=False,
    ),
    errors.AddressNotAllowed: Kind(
        "address-not-allowed",
        "The API key may not be used from this address",
        403,
        "The key has a list of addresses that may use it, and yours is not in it.",
        is_detailed=False,
    ),
    errors.Forbidden: Kind(
        "forbidden", "The API key may not do this", 403, "`detail` names the scope that the key would need."
    ),
    errors.TooManyRequests: Kind(
        "too-many-requests",
        "Too many requests",
        429,
        "Wait for the seconds that `Retry-After` says. `RateLimit` tells how many requests are left.",
        is_detailed=False,
    ),
    errors.InProgress: Kind(
        "in-progress",
        "The same request is being answered",
        409,
        "Another request with this `Idempotency-Key` has not been answered yet. Send it again in a moment.",
        is_detailed=False,
    ),
    errors.Unavailable: UNAVAILABLE,
    errors.ProviderFailed: Kind(
        "provider-failed",
        "The provider did not answer as it should",
        424,
        "The gateway works, and the panel that it asked for this does not, or refuses our key. `detail` says how.",
    ),
    errors.TooLarge: Kind("too-large", "The request is too large", 413, "Send less at once."),
    errors.UnsupportedMediaType: Kind(
        "unsupported-media-type", "The media type is not supported", 415, "A body is `application/json`."
    ),
    errors.BadRequest: BAD_REQUEST,
    errors.Invalid: Kind("invalid", "A field is not valid", 422, "`errors` has the path of each field at fault."),
    errors.ChangedMeanwhile: Kind(
        "changed-meanwhile",
        "It was changed meanwhile",
        412,
        "It is no longer as it was when it had the tag in `If-Match`. Read it again, and decide anew.",
    ),
    errors.UnknownService: Kind(
        "unknown-service", "There is no such service", 422, "No service of this number is sold to you.", True, "service"
    ),
    errors.ServiceDisabled: Kind(
        "service-disabled",
        "The service is switched off",
        422,
        "It may come back; the list shows it then.",
        True,
        "service",
    ),
    errors.InsufficientFunds: Kind(
        "insufficient-funds", "The balance does not cover the price", 402, "What can be spent is balance less hold."
    ),
    errors.SpendCapReached: Kind(
        "spend-cap-reached",
        "The API key may spend no more today",
        402,
        "The key has a cap for each day (UTC), and the order would pass it.",
    ),
    errors.IdempotencyMismatch: Kind(
        "idempotency-mismatch",
        "The idempotency key was used with another request",
        422,
        "A key stands for one request for 24 hours, and for one API key where it is no order. Take a new one.",
    ),
    errors.ActiveOrder: Kind(
        "active-order",
        "An order for this link is active",
        409,
        "The key refuses a second order of the same service and link until the first has ended.",
    ),
    errors.IncorrectQuantity: Kind(
        "incorrect-quantity",
        "The quantity is not valid",
        422,
        "A whole number within the service's limits.",
        True,
        "quantity",
    ),
    errors.QuantityTooLow: Kind(
        "quantity-too-low", "The quantity is below the minimum", 422, "The service has a minimum.", True, "quantity"
    ),
    errors.QuantityTooHigh: Kind(
        "quantity-too-high", "The quantity is above the maximum", 422, "The service has a maximum.", True, "quantity"
    ),
    errors.CannotCancel: Kind(
        "cannot-cancel", "The order cannot be cancelled", 409, "Its service has no cancel, or it has ended."
    ),
    errors.RefillDisabled: Kind("refill-disabled", "The service has no refill", 409, "Nothing can be refilled."),
    errors.OrderNotCompleted: Kind(
        "order-not-completed", "The order is not completed", 409, "Only a completed order is refilled."
    ),
    errors.RefillTooEarly: Kind(
        "refill-too-early", "It is too early for a refill", 409, "Try again a day after the completion or last refill."
    ),
    errors.NotFound: NOT_FOUND,
    errors.Conflict: Kind(
        "conflict", "The request contradicts what is recorded", 409, "`detail` says what stands against it."
    ),
    errors.ReferenceTaken: Kind(
        "reference-taken",
        "The reference stands for another amount",
        409,
        "Nothing was booked. `entry` is what the reference was booked with before: for other money take a new one.",
    ),
    errors.AlreadyBooked: Kind(
        "already-booked",
        "This was booked before",
        409,
        "The same amount was booked with the same reference, once, and nothing is left to be done: `entry` is its row.",
    ),
    errors.ConfigurationError: UNAVAILABLE,
    KeyringError: UNAVAILABLE,
}
"""Every refusal, by its nearest kind."""

_WORDS: dict[str, Kind] = {
    words.INCORRECT_LINK: Kind("incorrect-link", "The link is not valid", 422, _INVALID_ORDER, True, "link"),
    words.INCORRECT_QUANTITY: KINDS[errors.IncorrectQuantity],
    words.INCORRECT_REQUEST: Kind("incorrect-order", "A field of the order is not valid", 422, _INVALID_ORDER),
}
"""What the rules of the kinds of service refuse (`compat.drafts`), by their words."""


OF_DRAFTS = tuple(_WORDS.values())
"""The same, for operations that place one order."""
_ROOTS = ("$", "query", "header.", "path.")


def all_kinds() -> list[Kind]:
    """Each kind once, by its slug."""
    kinds = [*KINDS.values(), *_WORDS.values(), METHOD, INTERNAL]
    return sorted({kind.slug: kind for kind in kinds}.values(), key=lambda kind: kind.slug)


def kind_of(refusal: type[errors.GatewayError]) -> Kind:
    """The kind of problem that a refusal is; of one that nobody foresaw, an error of ours."""
    return next((KINDS[each] for each in refusal.__mro__ if each in KINDS), INTERNAL)


def problem_of(refusal: errors.GatewayError | PanelError, root: str = "$") -> Problem:
    """The refusal as a problem; a field at fault has a path below `root`."""
    kind = _WORDS[refusal.text] if isinstance(refusal, PanelError) else kind_of(type(refusal))
    given = refusal.faults if isinstance(refusal, errors.Invalid) else []
    faults = [Fault(path if path.startswith(_ROOTS) else f"{root}.{path}", message) for path, message in given]
    detail = (_told(faults) or _sentence(str(refusal))) if kind.is_detailed else ""
    field = (refusal.field if isinstance(refusal, PanelError) else None) or kind.field
    if field:
        faults = [Fault(f"{root}.{field}", detail)]
    return Problem(kind.type, kind.title, kind.status, detail, faults, _entry(refusal))


def _entry(refusal: errors.GatewayError | PanelError) -> BookedEntry | None:
    if not isinstance(refusal, errors.ReferenceTaken):
        return None
    return BookedEntry(refusal.entry, money(refusal.amount), refusal.booked_at)


def plain(kind: Kind) -> Problem:
    """A problem of which there is no more to say."""
    return Problem(kind.type, kind.title, kind.status)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _told(faults: list[Fault]) -> str:
    """The fields at fault in one line; paths are spelt as they are."""
    return "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
