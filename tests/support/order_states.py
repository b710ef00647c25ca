"""Orders in any state, without a database, and all that may be told of them."""

from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from compat.status import UpstreamStatus
from gateway.orders.model import Dispatch, Order, Status, charge_for
from gateway.orders.triggers import (
    CancelWanted,
    Claimed,
    GaveUp,
    QueuedTooLong,
    Reported,
    Trigger,
    WasAccepted,
    WasNotPlaced,
    WasNotSent,
    WasRefused,
    WentUnknown,
)

PRICE = Decimal("1.00000001")
QUANTITY = 300


def order_in(
    dispatch: Dispatch = Dispatch.ACCEPTED,
    status: Status = Status.PROCESSING,
    *,
    charge: Decimal = Decimal(0),
    price: Decimal = PRICE,
    quantity: int = QUANTITY,
    remains: int | None = None,
    upstream_status: str | None = None,
) -> Order:
    return Order(
        id=UUID(int=1),
        number=100001,
        user_id=UUID(int=2),
        service_id=UUID(int=3),
        provider_id=UUID(int=4),
        external_order_id="77" if dispatch is Dispatch.ACCEPTED else None,
        link="https://example.com/v/1",
        quantity=quantity,
        price=price,
        currency="USD",
        charge=charge,
        status=status,
        dispatch=dispatch,
        upstream_status=upstream_status,
        start_count=None,
        remains=remains,
        details={},
    )


def report(status: UpstreamStatus | None, remains: int | None = None, *, error: str | None = None) -> Reported:
    return Reported(word=status.value if status else "Zzz", status=status, remains=remains, error=error)


COMPLETED = order_in(status=Status.COMPLETED, charge=PRICE, remains=0)
PARTIAL = order_in(status=Status.PARTIAL, charge=charge_for(COMPLETED, 200), remains=100)
CANCELLED = order_in(status=Status.CANCELLED, remains=QUANTITY)
REFUNDED = order_in(status=Status.REFUNDED, charge=charge_for(COMPLETED, 100), remains=200)

TRIGGERS: tuple[Trigger, ...] = (
    CancelWanted(),
    Claimed(),
    WasNotSent(),
    WasAccepted("77"),
    WasRefused(requeue=True),
    WasRefused(requeue=False),
    WentUnknown(),
    QueuedTooLong(),
    WasNotPlaced(),
    GaveUp(),
    report(UpstreamStatus.COMPLETED),
    report(UpstreamStatus.PARTIAL, 10),
    report(UpstreamStatus.CANCELED),
    report(None),
)

prices = st.decimals(min_value=0, max_value=Decimal(10) ** 12 - 1, places=8, allow_nan=False, allow_infinity=False)
reports = st.builds(
    Reported,
    word=st.text(max_size=60),
    status=st.none() | st.sampled_from(UpstreamStatus),
    remains=st.none() | st.integers(-(2**31), 2**31 - 1),
    start_count=st.none() | st.integers(0, 2**63 - 1),
    error=st.none() | st.none() | st.text(max_size=20),
)
