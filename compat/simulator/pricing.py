"""What the simulated panel takes as an order of a service, and its price."""

from collections.abc import Mapping
from decimal import Decimal

from compat.drafts import Draft, read_draft
from compat.errors import QUANTITY_LESS, QUANTITY_MORE, PanelError
from compat.kinds import RULES, Counting, Kind, parse_kind
from compat.money import round8
from compat.wire import Service

POSTS_OPEN = 10
"""Posts that an open subscription is charged for at once."""


def kind_of(service: Service) -> Kind:
    return parse_kind(service.type) or Kind.DEFAULT


def read_order(service: Service, fields: Mapping[str, str]) -> Draft:
    """The order as its kind wants it; a service without drip-feed takes it in one run.

    Raises:
        PanelError: a field is missing, or the quantity of one run is out of range.
    """
    kind = kind_of(service)
    if not service.dripfeed:
        fields = {name: value for name, value in fields.items() if name not in ("runs", "interval")}
    draft = read_draft(kind, fields)
    if RULES[kind].counting is not Counting.ONE:
        if (draft.least or draft.quantity) < service.min:
            raise PanelError(QUANTITY_LESS.format(service.min))
        if draft.quantity > service.max:
            raise PanelError(QUANTITY_MORE.format(service.max))
    return draft


def price_of_run(service: Service, draft: Draft) -> Decimal:
    """Of one run or post, at its most."""
    by_package = RULES[kind_of(service)].counting is Counting.ONE
    return round8(service.rate if by_package else service.rate * draft.quantity / 1000)


def runs_paid(draft: Draft) -> int:
    """How many runs or posts are charged when the order comes."""
    return POSTS_OPEN if draft.runs is None else draft.runs
