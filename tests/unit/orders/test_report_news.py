"""Which reports are news: those that the table of transitions does something with."""

from decimal import Decimal

import msgspec
import pytest

from compat.status import UpstreamStatus
from gateway.orders.model import TERMINAL, Dispatch, Status, decide
from gateway.orders.settlement import is_news
from gateway.orders.triggers import Reported
from tests.support.order_states import PRICE, QUANTITY, order_in


@pytest.mark.parametrize("status", [Status.PROCESSING, *sorted(TERMINAL)])
@pytest.mark.parametrize("word", [*UpstreamStatus, None])
@pytest.mark.parametrize("remains", [None, 0, 120, QUANTITY])
def test_a_report_is_news_unless_the_table_leaves_the_order_as_it_is(
    status: Status, word: UpstreamStatus | None, remains: int | None
) -> None:
    order = order_in(Dispatch.ACCEPTED, status, charge=PRICE if status is Status.COMPLETED else Decimal(0), remains=120)
    report = Reported(word or "gibberish", word, remains)
    transition = decide(order, report)
    expected = transition is not None and (
        transition.row == "19" or transition.order != order or transition.moves != ()
    )
    assert is_news(order, report) is expected


def test_a_charge_that_is_not_known_yet_is_news() -> None:
    order = order_in(Dispatch.ACCEPTED, Status.PROCESSING, remains=120, upstream_status="inprogress")
    same = Reported("inprogress", UpstreamStatus.IN_PROGRESS, 120)
    assert not is_news(order, same)
    assert is_news(order, msgspec.structs.replace(same, charge=Decimal("0.05")))
    assert is_news(order, msgspec.structs.replace(same, remains=119))
    assert is_news(msgspec.structs.replace(order, check_failures=1), same)
