"""What amounts at a provider may be, by whichever command they are given."""

from decimal import Decimal

import pytest

from gateway.catalog.editing.model import ProviderEdit, ProviderTerms, edit_provider
from gateway.errors import Conflict
from gateway.providers.money.model import check_deposit, check_low_balance

TERMS = ProviderTerms(
    name="North",
    currency="USD",
    api_endpoint="https://panel.example/api/v2",
    dialect="standard",
    is_active=True,
    priority=0,
    exchange_rate=Decimal(1),
    markup_percent=Decimal(10),
    markup_fixed=Decimal(0),
    price_step=None,
    margin_floor_percent=None,
    price_guard_percent=Decimal(20),
    sends_per_second=None,
    max_in_flight=None,
    low_balance=None,
    hold_new=False,
)


@pytest.mark.parametrize("amount", ["-5", "-0.00000001", "1e-9", "1e12", "1e400", "NaN", "sNaN", "Infinity"])
def test_no_door_takes_a_threshold_that_is_none(amount: str) -> None:
    with pytest.raises(Conflict):
        edit_provider(TERMS, ProviderEdit(low_balance=Decimal(amount)))
    with pytest.raises(Conflict):
        check_low_balance(Decimal(amount))


@pytest.mark.parametrize("amount", ["0", "-0", "1e-9", "1e12", "-1e12", "1e400", "NaN", "sNaN", "Infinity"])
def test_a_deposit_is_an_amount(amount: str) -> None:
    with pytest.raises(Conflict):
        check_deposit(Decimal(amount))


def test_a_threshold_of_nothing_is_one() -> None:
    assert edit_provider(TERMS, ProviderEdit(low_balance=Decimal(0))).low_balance == 0
