"""The words of refusal that clients match (protocol §3), given once, and those that upstreams use."""

import enum
import re


class PanelError(Exception):
    """A refusal in the protocol's words: HTTP 200 and `{"error": text}` unless `status` says otherwise.

    `field` is the one at fault, where one is; it does not go over the wire.
    """

    def __init__(
        self, text: str, *, status: int = 200, headers: dict[str, str] | None = None, field: str | None = None
    ) -> None:
        super().__init__(text)
        self.field = field
        self.text = text
        self.status = status
        self.headers = headers or {}
        self.placed: bool | None = None


INCORRECT_REQUEST = "Incorrect request"
INVALID_KEY = "Invalid API key"
INCORRECT_SERVICE = "Incorrect service ID"
DISABLED_SERVICE = "Disabled service ID"
NOT_ENOUGH_FUNDS = "Not enough funds on balance"
INCORRECT_LINK = "Incorrect link"
INCORRECT_QUANTITY = "Incorrect quantity"
QUANTITY_LESS = "Quantity less than minimal {}"
QUANTITY_MORE = "Quantity more than maximum {}"
ACTIVE_ORDER = "You have active order with this link. Please wait until order being completed."
INCORRECT_ORDER = "Incorrect order ID"
REFILL_NOT_FOUND = "Refill not found"
REFILL_DISABLED = "Refill is disabled for this service"
ORDER_NOT_COMPLETED = "The order is not completed"
REFILL_TOO_EARLY = "The order was completed or refill was requested less than 24 hours ago"
TOO_MANY_REQUESTS = "Too many requests"
TOO_MANY_ORDERS = "Too many orders in one request"
REQUEST_TOO_LARGE = "Request too large"
IDEMPOTENCY_MISMATCH = "Idempotency key was used with other fields"
UNAVAILABLE = "Service temporarily unavailable"


class Fault(enum.Enum):
    """Whose fault a refused `add` is (design §5)."""

    ORDER = "order"
    PROVIDER = "provider"
    PASSING = "passing"


def fold(text: str) -> str:
    """One spelling of an error text: case, full stops and spacing of panels vary (protocol §3)."""
    return re.sub(r"\s+", " ", text.strip().rstrip(".!… ").casefold())


_ORDER_FAULTS = (
    INCORRECT_LINK, INCORRECT_QUANTITY, ACTIVE_ORDER, "Bad Link", "Quantity out of bounds",
    "neworder.error.link", "neworder.error.link_duplicate", "neworder.error.min_quantity",
    "neworder.error.max_quantity", "neworder.error.comment",
)  # fmt: skip
_PROVIDER_FAULTS = (
    INVALID_KEY, NOT_ENOUGH_FUNDS, INCORRECT_SERVICE, DISABLED_SERVICE, INCORRECT_REQUEST,
    "API key is incorrect", "API is disable for this user", "Request Invalid", "This action is invalid",
    "Service ID does not exists", "neworder.error.not_enough_funds", "neworder.error.insufficient_balance",
    "neworder.error.incorrect_service_id", "error.incorrect_service_id",
)  # fmt: skip
_BAD_REQUEST = frozenset(fold(text) for text in (INCORRECT_REQUEST, "Request Invalid", "This action is invalid"))
_KNOWN: dict[str, Fault] = {
    **{fold(text): Fault.ORDER for text in _ORDER_FAULTS},
    **{fold(text): Fault.PROVIDER for text in _PROVIDER_FAULTS},
    **{fold(text): Fault.PASSING for text in (TOO_MANY_REQUESTS, UNAVAILABLE)},
}
_KEY_FAULTS = frozenset(fold(text) for text in (INVALID_KEY, "API key is incorrect"))
_PREFIXES: tuple[tuple[str, Fault], ...] = (
    ("quantity less than minimal ", Fault.ORDER),
    ("quantity more than maximum ", Fault.ORDER),
    ("api is disable for this user", Fault.PROVIDER),
)
_FUNDS = frozenset(
    fold(text) for text in (NOT_ENOUGH_FUNDS, "neworder.error.not_enough_funds", "neworder.error.insufficient_balance")
)
_LACK = re.compile(r"\b(not|don.?t)( have)? (enough|sufficient)\b|\binsufficient\b|\black of\b|\blow\b")
_MONEY = re.compile(r"\b(balances?|funds?|credits?|money)\b")
_UNKNOWN_REFILL = frozenset(fold(text) for text in (REFILL_NOT_FOUND, "error.incorrect_refill_id"))
_UNKNOWN_ORDER = frozenset(fold(text) for text in (INCORRECT_ORDER, "Order not found", "error.incorrect_order_id"))


def fault_of(text: str) -> Fault | None:
    """Whose fault an upstream's refusal of `add` is; None where nobody has taught us the words."""
    folded = fold(text)
    known = _KNOWN.get(folded)
    if known is not None:
        return known
    return next((fault for prefix, fault in _PREFIXES if folded.startswith(prefix)), None)


def is_of_our_key(text: str) -> bool:
    """True where the upstream does not know our key or lets it do nothing: it says nothing of any order."""
    folded = fold(text)
    return folded in _KEY_FAULTS or folded.startswith("api is disable for this user")


def is_lack_of_funds(text: str) -> bool:
    """True where the upstream says that our balance there is used up, also in words of its own.

    Asked of what is known to be the provider's fault alone: such words of its own say nothing of an order.
    """
    folded = fold(text)
    return folded in _FUNDS or bool(_LACK.search(folded) and _MONEY.search(folded))


def is_bad_request(text: str) -> bool:
    """True where the upstream cannot read what we sent: our account there, or the fields of this one order."""
    return fold(text) in _BAD_REQUEST


def is_unknown_order(text: str) -> bool:
    """True where the upstream says that it has no such order."""
    return fold(text) in _UNKNOWN_ORDER


def is_unknown_refill(text: str) -> bool:
    """True where the upstream says that it has no such refill."""
    return fold(text) in _UNKNOWN_REFILL
