"""What is shown of an order in the panel's words, and how its price and charge are rounded."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.status import PanelStatus
from gateway.orders.model import Dispatch, Order, Status, charge_for, price_of
from gateway.orders.shown import shown_charge, shown_remains, shown_status
from tests.support.order_states import CANCELLED, COMPLETED, PARTIAL, PRICE, QUANTITY, REFUNDED, order_in, prices


@pytest.mark.parametrize(
    ("order", "status", "charge", "remains"),
    [
        (order_in(Dispatch.QUEUED, Status.PENDING), PanelStatus.PENDING, PRICE, QUANTITY),
        (order_in(Dispatch.UNKNOWN, Status.PENDING), PanelStatus.PENDING, PRICE, QUANTITY),
        (order_in(remains=40), PanelStatus.PROCESSING, PRICE, 40),
        (order_in(upstream_status="Pending"), PanelStatus.PROCESSING, PRICE, QUANTITY),
        (order_in(upstream_status="In progress", remains=9), PanelStatus.IN_PROGRESS, PRICE, 9),
        (COMPLETED, PanelStatus.COMPLETED, PRICE, 0),
        (PARTIAL, PanelStatus.PARTIAL, PARTIAL.charge, 100),
        (CANCELLED, PanelStatus.CANCELED, Decimal(0), QUANTITY),
        (order_in(Dispatch.REFUSED, Status.FAILED), PanelStatus.CANCELED, Decimal(0), QUANTITY),
        (order_in(Dispatch.WRITTEN_OFF, Status.CANCELLED), PanelStatus.CANCELED, Decimal(0), QUANTITY),
        (REFUNDED, PanelStatus.PARTIAL, REFUNDED.charge, 200),
        (order_in(status=Status.REFUNDED, remains=QUANTITY), PanelStatus.CANCELED, Decimal(0), QUANTITY),
    ],
)
def test_the_panel_shows_each_order_in_its_words(
    order: Order, status: PanelStatus, charge: Decimal, remains: int
) -> None:
    assert (shown_status(order), shown_charge(order), shown_remains(order)) == (status, charge, remains)


@pytest.mark.parametrize(
    ("rate", "quantity", "package", "price"),
    [
        ("0.004", 1, False, "0.000004"),
        ("0.00000001", 500, False, "0"),
        ("0.00000001", 1500, False, "0.00000002"),
        ("0.00000003", 500, False, "0.00000002"),
        ("2.5", 1000, False, "2.5"),
        ("2.5", 1, True, "2.5"),
    ],
)
def test_a_price_is_rounded_half_even_to_eight_places(rate: str, quantity: int, package: bool, price: str) -> None:
    assert price_of(Decimal(rate), quantity, package=package) == Decimal(price)


@given(price=prices.filter(lambda price: price < 10**9), quantity=st.integers(1, 2**31 - 1), data=st.data())
def test_a_share_is_the_exact_ratio_rounded_once(price: Decimal, quantity: int, data: st.DataObject) -> None:
    delivered = data.draw(st.integers(0, quantity))
    share = charge_for(order_in(price=price, quantity=quantity), delivered)
    assert Fraction(share) == Fraction(round(Fraction(price) * 10**8 * delivered / quantity), 10**8)
