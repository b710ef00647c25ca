"""What customers are shown of an order; pure."""

from decimal import Decimal

from compat.status import PanelStatus, UpstreamStatus, parse_status
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
