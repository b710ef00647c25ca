"""What each type of ledger row does to a wallet."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InsufficientFunds
from gateway.ledger.model import EntryType, Reference, Wallet, post

REFERENCE = Reference("order", UUID(int=9))


def wallet_with(balance: str = "10", hold: str = "4", *, last_seq: int = 7) -> Wallet:
    return Wallet(UUID(int=1), UUID(int=2), "USD", Decimal(balance), Decimal(hold), last_seq)


@pytest.mark.parametrize(
    ("entry_type", "balance", "hold"),
    [
        (EntryType.DEPOSIT, "13", "4"),
        (EntryType.HOLD, "10", "7"),
        (EntryType.RELEASE, "10", "1"),
        (EntryType.WITHDRAW, "7", "1"),
        (EntryType.REFUND, "13", "4"),
        (EntryType.FEE, "7", "4"),
    ],
)
def test_each_type_moves_balance_and_hold_as_the_design_says(entry_type: EntryType, balance: str, hold: str) -> None:
    after, _ = post(wallet_with(), entry_type, Decimal(3), REFERENCE)
    assert (after.balance, after.hold_amount) == (Decimal(balance), Decimal(hold))


def test_every_type_has_its_effect() -> None:
    for entry_type in EntryType:
        post(wallet_with(), entry_type, Decimal(1), REFERENCE)


def test_a_row_tells_what_was_before_and_after_and_takes_the_next_place() -> None:
    before = wallet_with()
    after, entry = post(before, EntryType.HOLD, Decimal(3), REFERENCE, description="an order", metadata={"number": 1})
    assert (entry.balance_before, entry.balance_after) == (before.balance, after.balance)
    assert (entry.hold_before, entry.hold_after) == (before.hold_amount, after.hold_amount)
    assert (entry.wallet_seq, after.last_seq) == (8, 8)
    assert (entry.user_id, entry.wallet_id, entry.reference) == (before.user_id, before.id, REFERENCE)
    assert (entry.description, entry.metadata) == ("an order", {"number": 1})
    assert entry.id.version == 7


@pytest.mark.parametrize("entry_type", [EntryType.HOLD, EntryType.FEE])
def test_what_is_frozen_cannot_be_spent(entry_type: EntryType) -> None:
    post(wallet_with(), entry_type, Decimal(6), REFERENCE)
    with pytest.raises(InsufficientFunds):
        post(wallet_with(), entry_type, Decimal("6.00000001"), REFERENCE)


def test_a_free_order_holds_nothing_even_in_an_empty_wallet() -> None:
    after, entry = post(wallet_with("0", "0"), EntryType.HOLD, Decimal(0), REFERENCE)
    assert after.spendable == entry.amount == 0


amounts = st.decimals(min_value=0, max_value=1000, places=8, allow_nan=False, allow_infinity=False)


@given(balance=amounts, spent=st.lists(st.tuples(st.sampled_from([EntryType.HOLD, EntryType.FEE]), amounts)))
def test_no_spending_leads_below_zero_and_rows_continue_each_other(
    balance: Decimal, spent: list[tuple[EntryType, Decimal]]
) -> None:
    wallet = Wallet(UUID(int=1), UUID(int=2), "USD", balance, Decimal(0), 0)
    for entry_type, amount in spent:
        before = wallet
        try:
            wallet, entry = post(wallet, entry_type, amount, REFERENCE)
        except InsufficientFunds:
            assert amount > before.spendable
            continue
        assert 0 <= wallet.hold_amount <= wallet.balance
        assert wallet.spendable == before.spendable - amount
        assert (entry.balance_before, entry.hold_before) == (before.balance, before.hold_amount)
        assert entry.wallet_seq == before.last_seq + 1
