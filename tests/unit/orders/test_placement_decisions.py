"""How an order is priced and refused, and how a batch spends from its wallets."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.drafts import Draft
from compat.kinds import Kind
from gateway.accounts.model import Account
from gateway.accounts.spending.model import Spending
from gateway.catalog.model import Service
from gateway.errors import (
    GatewayError,
    IncorrectQuantity,
    InsufficientFunds,
    QuantityTooHigh,
    QuantityTooLow,
    ServiceDisabled,
    SpendCapReached,
    UnknownService,
)
from gateway.ledger.model import EntryType, Wallet
from gateway.orders.decisions import Placing, decide, prepare
from gateway.orders.model import Dispatch, Status
from gateway.orders.store import NewOrder

ACCOUNT = Account(UUID(int=1), UUID(int=2), UUID(int=3), "USD", "basic", None, None, "key")
SERVICE = Service(
    id=UUID(int=4),
    number=1,
    name="Views",
    description=None,
    category="Views",
    platform="youtube",
    type="views",
    kind=Kind.DEFAULT,
    kind_name="Default",
    rate=Decimal("2.5"),
    currency="USD",
    min_quantity=100,
    max_quantity=5000,
    refill=False,
    cancel=False,
    dripfeed=False,
    is_active=True,
    provider_id=UUID(int=5),
)
DRAFT = Draft("https://example.com/v/1", 1000, {})


def draft_of(quantity: int) -> Draft:
    return msgspec.structs.replace(DRAFT, quantity=quantity)


def test_an_order_is_priced_by_the_thousand_and_starts_queued() -> None:
    placing = prepare(ACCOUNT, SERVICE, draft_of(400))
    order = placing.new.order
    assert (order.price, order.charge, order.currency) == (Decimal(1), Decimal(0), "USD")
    assert (order.status, order.dispatch, order.provider_id) == (
        Status.PENDING,
        Dispatch.QUEUED,
        SERVICE.provider_id,
    )
    assert (placing.wallet_id, placing.new.api_key_id, order.user_id) == (
        ACCOUNT.wallet_id,
        ACCOUNT.key_id,
        ACCOUNT.user_id,
    )
    assert order.id.version == 7


@pytest.mark.parametrize(
    ("kind", "quantity", "price"),
    [(Kind.PACKAGE, 1, "2.5"), (Kind.CUSTOM_COMMENTS_PACKAGE, 1, "2.5"), (Kind.CUSTOM_COMMENTS, 200, "0.5")],
)
def test_packages_cost_their_rate_and_comments_are_counted(kind: Kind, quantity: int, price: str) -> None:
    service = msgspec.structs.replace(SERVICE, kind=kind)
    assert prepare(ACCOUNT, service, draft_of(quantity)).new.order.price == Decimal(price)


@pytest.mark.parametrize(
    ("changes", "quantity", "refusal"),
    [
        ({"currency": "EUR"}, 1000, UnknownService),
        ({"kind": None}, 1000, UnknownService),
        ({"is_active": False}, 1000, ServiceDisabled),
        ({"provider_id": None}, 1000, ServiceDisabled),
        ({}, 99, QuantityTooLow),
        ({}, 5001, QuantityTooHigh),
        ({}, 0, QuantityTooLow),
        ({"kind": Kind.PACKAGE}, 0, IncorrectQuantity),
        ({"rate": Decimal("999999999999"), "max_quantity": 10**9}, 10**9, InsufficientFunds),
    ],
)
def test_what_the_service_does_not_allow_is_refused(
    changes: dict[str, object], quantity: int, refusal: type[GatewayError]
) -> None:
    with pytest.raises(refusal):
        prepare(ACCOUNT, msgspec.structs.replace(SERVICE, **changes), draft_of(quantity))


def test_refusals_of_a_quantity_say_the_limit() -> None:
    with pytest.raises(QuantityTooLow) as low:
        prepare(ACCOUNT, SERVICE, draft_of(1))
    with pytest.raises(QuantityTooHigh) as high:
        prepare(ACCOUNT, SERVICE, draft_of(10**6))
    assert (low.value.minimum, high.value.maximum) == (100, 5000)


@pytest.mark.parametrize("quantity", [100, 5000])
def test_the_limits_themselves_are_allowed(quantity: int) -> None:
    assert prepare(ACCOUNT, SERVICE, draft_of(quantity)).new.order.quantity == quantity


# A batch -------------------------------------------------------------------------------------


def wallet_with(balance: Decimal | str, wallet_id: UUID = ACCOUNT.wallet_id) -> Wallet:
    return Wallet(wallet_id, ACCOUNT.user_id, "USD", Decimal(balance), Decimal(0), 0)


def placing_of(price: Decimal | str, wallet_id: UUID = ACCOUNT.wallet_id) -> Placing:
    placing = prepare(ACCOUNT, SERVICE, DRAFT)
    order = msgspec.structs.replace(placing.new.order, price=Decimal(price))
    return Placing(NewOrder(order, ACCOUNT.key_id), wallet_id)


def test_orders_are_decided_in_the_order_of_arrival() -> None:
    batch = [placing_of("6"), placing_of("5"), placing_of("4")]
    outcomes = decide(batch, {ACCOUNT.wallet_id: wallet_with("10")}).outcomes
    assert [type(outcome) for outcome in outcomes] == [NewOrder, InsufficientFunds, NewOrder]


def test_a_refusal_does_not_touch_other_wallets() -> None:
    other = UUID(int=33)
    wallets = {ACCOUNT.wallet_id: wallet_with("0"), other: wallet_with("5", other)}
    decided = decide([placing_of("1"), placing_of("5", other)], wallets)
    assert [type(outcome) for outcome in decided.outcomes] == [InsufficientFunds, NewOrder]
    assert list(decided.wallets) == [other]


def capped(cap: str | None, spent: str = "0") -> dict[UUID, Spending]:
    limit = None if cap is None else Decimal(cap)
    return {ACCOUNT.key_id: Spending(ACCOUNT.key_id, date(2026, 6, 1), Decimal(spent), limit)}


def test_a_key_spends_to_its_cap_and_not_a_place_more() -> None:
    batch = [placing_of(price) for price in ("6", "3.00000001", "2", "1", "0.00000001", "0")]
    decided = decide(batch, {ACCOUNT.wallet_id: wallet_with("100")}, frozenset(), capped("10", "1"))
    assert [type(outcome) for outcome in decided.outcomes] == [
        NewOrder, SpendCapReached, NewOrder, NewOrder, SpendCapReached, NewOrder,
    ]  # fmt: skip
    assert decided.spending[ACCOUNT.key_id].spent == Decimal(10)


def test_what_the_wallet_does_not_cover_is_not_counted_against_the_cap() -> None:
    batch = [placing_of("6"), placing_of("5"), placing_of("4")]
    decided = decide(batch, {ACCOUNT.wallet_id: wallet_with("5")}, frozenset(), capped("10"))
    assert [type(outcome) for outcome in decided.outcomes] == [InsufficientFunds, NewOrder, InsufficientFunds]
    assert decided.spending[ACCOUNT.key_id].spent == Decimal(5)


def test_what_the_cap_refuses_takes_nothing_from_the_wallet() -> None:
    decided = decide([placing_of("1")], {ACCOUNT.wallet_id: wallet_with("5")}, frozenset(), capped("0.99999999"))
    assert (decided.wallets, decided.entries, decided.spending) == ({}, [], {})


def test_a_cap_that_was_taken_away_meanwhile_refuses_nothing() -> None:
    decided = decide([placing_of("1")], {ACCOUNT.wallet_id: wallet_with("5")}, frozenset(), capped(None))
    assert decided.spending[ACCOUNT.key_id].spent == Decimal(1)


def test_only_the_placings_of_keys_with_a_cap_say_so() -> None:
    assert not prepare(ACCOUNT, SERVICE, DRAFT).is_capped
    assert prepare(msgspec.structs.replace(ACCOUNT, daily_spend_cap=Decimal(0)), SERVICE, DRAFT).is_capped


def test_a_refused_batch_writes_nothing() -> None:
    decided = decide([placing_of("1")], {ACCOUNT.wallet_id: wallet_with("0.99999999")})
    assert (decided.wallets, decided.entries) == ({}, [])


amounts = st.decimals(min_value=0, max_value=100, places=8, allow_nan=False, allow_infinity=False)


@given(funds=st.tuples(amounts, amounts), wanted=st.lists(st.tuples(amounts, st.integers(0, 1)), max_size=30))
def test_no_batch_overspends_and_each_order_has_its_hold(
    funds: tuple[Decimal, Decimal], wanted: list[tuple[Decimal, int]]
) -> None:
    ids = (UUID(int=30), UUID(int=31))
    wallets = {ids[n]: wallet_with(funds[n], ids[n]) for n in (0, 1)}
    batch = [placing_of(price, ids[n]) for price, n in wanted]
    decided = decide(batch, wallets)
    placed = [outcome.order for outcome in decided.outcomes if isinstance(outcome, NewOrder)]
    assert [entry.reference.id for entry in decided.entries] == [order.id for order in placed]
    assert [entry.amount for entry in decided.entries] == [order.price for order in placed]
    assert all(entry.type is EntryType.HOLD for entry in decided.entries)
    for wallet in decided.wallets.values():
        rows = [entry for entry in decided.entries if entry.wallet_id == wallet.id]
        assert wallet.hold_amount == sum(entry.amount for entry in rows) <= wallet.balance
        assert [entry.wallet_seq for entry in rows] == list(range(1, len(rows) + 1))
