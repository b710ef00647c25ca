"""What customers are shown of an order; pure."""

from decimal import Decimal

from compat.money import format_amount, round8
from compat.status import PanelStatus, UpstreamStatus, parse_status
from gateway.events.payloads import OrderData
from gateway.orders.model import TERMINAL, Order, Status


def shown_status(order: Order) -> PanelStatus:
    """What the panel protocol says of the order (the last paragraph of `docs/states.md`)."""
    match order.status:
        case Status.PENDING:
            return PanelStatus.PENDING
        case Status.PROCESSING:
            moving = parse_status(order.upstream_status) is UpstreamStatus.IN_PROGRESS
            return PanelStatus.IN_PROGRESS if moving else PanelStatus.PROCESSING
        case Status.COMPLETED:
            return PanelStatus.COMPLETED
        case Status.PARTIAL:
            return PanelStatus.PARTIAL
        case Status.CANCELLED | Status.FAILED:
            return PanelStatus.CANCELED
        case Status.REFUNDED:
            return PanelStatus.PARTIAL if order.charge > 0 else PanelStatus.CANCELED


def shown_charge(order: Order) -> Decimal:
    """The price until it is settled, then what was withdrawn less refunds."""
    return order.charge if order.status in TERMINAL else order.price


def shown_remains(order: Order) -> int:
    return order.quantity if order.remains is None else order.remains


def told(order: Order) -> OrderData:
    """What an event says of the order."""
    return OrderData(
        number=order.number,
        status=order.status.value,
        price=format_amount(round8(order.price)),
        charge=format_amount(round8(shown_charge(order))),
        remains=shown_remains(order),
        currency=order.currency,
    )
