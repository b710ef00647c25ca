"""Terms of keys and limits of tiers: what is set is in force, also where a key was known by heart."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from gateway.accounts.addresses import parse_network
from gateway.accounts.directory import Directory
from gateway.accounts.keys import change_key, find_key, issue_key, list_keys_of
from gateway.accounts.terms.model import KeyEdit, Terms
from gateway.accounts.tiers import list_tiers, remove_tier, set_tier
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import Conflict, Forbidden, Invalid, NotFound
from tests.support.keys import EMAIL, HEARD_WITHIN_S, KEYRING, key, scalar, until, user


@pytest.fixture
async def listener(database_url: str) -> AsyncIterator[Listener]:
    """Not started yet: what listens is made first."""
    listener = Listener(database_url)
    yield listener
    await listener.stop()


@pytest.fixture
async def directory(db: Database, listener: Listener) -> Directory:
    directory = Directory(db, KEYRING, listener)
    await listener.start()
    await until(lambda: listener.healthy)
    return directory


async def test_the_terms_of_a_key_are_those_of_its_account(db: Database, directory: Directory) -> None:
    await user(db)
    networks = (parse_network("192.0.2.0/24"), parse_network("2001:db8::/32"))
    async with db.transaction() as tx:
        key_id, plain = await issue_key(
            tx, KEYRING, EMAIL, "pro", "shop", "USD", None,
            scopes=("orders:read", "orders:write"), allowed_addresses=networks, daily_spend_cap=Decimal("12.5"),
            requests_per_minute=7,
        )  # fmt: skip
    account = await directory.get_account(plain)
    assert account.permissions == ("orders:write", "orders:read")
    assert account.allowed_addresses == networks
    assert (account.daily_spend_cap, account.requests_per_minute) == (Decimal("12.5"), 7)
    async with db.connection() as connection:
        shown = await find_key(connection, key_id)
        assert await find_key(connection, uuid4()) is None
    assert shown is not None
    assert (shown.scopes, shown.allowed_addresses) == (account.permissions, networks)
    assert (shown.daily_spend_cap, shown.spent_today, shown.requests_per_minute) == (Decimal("12.5"), Decimal(0), 7)


async def test_other_terms_are_in_force_though_the_key_was_known_by_heart(db: Database, directory: Directory) -> None:
    await user(db)
    key_id, plain = await key(db)
    await directory.get_account(plain)
    wanted = KeyEdit(
        name="other", tier="basic", scopes=("orders:read",), allowed_addresses=(parse_network("192.0.2.7"),),
        daily_spend_cap=Decimal(1), requests_per_minute=3,
    )  # fmt: skip
    for changes in (wanted, KeyEdit(scopes=None, allowed_addresses=None, daily_spend_cap=None)):
        async with db.transaction() as tx:
            shown = await change_key(tx, key_id, changes)
        deadline = time.monotonic() + HEARD_WITHIN_S
        while (account := await directory.get_account(plain)).permissions != shown.scopes:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        assert (account.allowed_addresses, account.daily_spend_cap) == (shown.allowed_addresses, shown.daily_spend_cap)
        assert (account.key_name, account.tier, account.requests_per_minute) == ("other", "basic", 3)


async def test_a_change_that_is_not_allowed_changes_nothing(db: Database) -> None:
    await user(db)
    key_id, _ = await key(db)
    seen: list[tuple[Terms, Terms]] = []

    def refuse(before: Terms, after: Terms) -> None:
        seen.append((before, after))
        raise Forbidden("keys:write")

    with pytest.raises(Forbidden):
        await change(db, key_id, KeyEdit(name="mine"), refuse)
    assert [(before.name, after.name) for before, after in seen] == [("shop", "mine")]
    for changes, refusal in (
        (KeyEdit(scopes=("admin:*",)), Invalid),
        (KeyEdit(scopes=("nonsense",)), Invalid),
        (KeyEdit(tier="gold"), Conflict),
    ):
        with pytest.raises(refusal):
            await change(db, key_id, changes)
    with pytest.raises(NotFound):
        await change(db, uuid4(), KeyEdit(name="x"))
    assert await scalar(db, "SELECT name || rate_limit_tier FROM api_keys WHERE permissions IS NULL") == "shoppro"


async def change(
    db: Database, key_id: UUID, changes: KeyEdit, allow: Callable[[Terms, Terms], None] | None = None
) -> None:
    async with db.transaction() as tx:
        await change_key(tx, key_id, changes, allow)


async def test_the_keys_of_one_user_are_listed_page_by_page(db: Database) -> None:
    user_id = await user(db)
    await user(db, "other@example.com")
    await key(db, "other@example.com")
    issued = [(await key(db))[0] for _ in range(5)]
    pages, after = [], None
    async with db.connection() as connection:
        while page := await list_keys_of(connection, user_id, after, 2):
            pages.append([each.key_id for each in page])
            after = page[-1].key_id
    assert pages == [issued[:2], issued[2:4], issued[4:]]


# Tiers ---------------------------------------------------------------------------------------


async def set_limit(db: Database, name: str, limit: int | None) -> None:
    async with db.transaction() as tx:
        await set_tier(tx, name, limit)


async def test_the_limit_of_a_key_goes_before_that_of_its_tier_and_that_before_the_setting(
    db: Database, directory: Directory
) -> None:
    await user(db)
    await set_limit(db, "gold", 5000)
    limits = []
    for tier, own in (("pro", None), ("gold", None), ("gold", 7)):
        async with db.transaction() as tx:
            _, plain = await issue_key(tx, KEYRING, EMAIL, tier, "shop", "USD", None, requests_per_minute=own)
        limits.append((await directory.get_account(plain)).requests_per_minute)
    assert limits == [None, 5000, 7]


async def test_another_limit_of_a_tier_is_heard_of_by_those_that_know_its_keys_by_heart(
    db: Database, directory: Directory
) -> None:
    await user(db)
    _, plain = await key(db, tier="pro")
    for limit in (900, 901, None):
        await directory.get_account(plain)
        await set_limit(db, "pro", limit)
        deadline = time.monotonic() + HEARD_WITHIN_S
        while (await directory.get_account(plain)).requests_per_minute != limit:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)


async def test_a_tier_is_removed_once_no_key_has_it(db: Database) -> None:
    await user(db)
    await set_limit(db, "gold", 5000)
    key_id, _ = await key(db, tier="gold")
    with pytest.raises(Conflict, match="keys have the tier gold"):
        await remove(db, "gold")
    await change(db, key_id, KeyEdit(tier="basic"))
    await remove(db, "gold")
    async with db.connection() as connection:
        assert [(tier.name, tier.keys) for tier in await list_tiers(connection)] == [
            ("basic", 1), ("enterprise", 0), ("pro", 0),
        ]  # fmt: skip
    with pytest.raises(NotFound):
        await remove(db, "gold")
    with pytest.raises(Conflict, match="stays"):
        await remove(db, "pro")


async def remove(db: Database, name: str) -> None:
    async with db.transaction() as tx:
        await remove_tier(tx, name)


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [
        ("Gold", 1, "small letters"),
        ("tier:x", 1, "small letters"),
        ("g" * 51, 1, "50 characters"),
        ("gold", 0, "1 to 1000000"),
        ("gold", None, "needs a limit"),
    ],
)
async def test_a_tier_that_makes_no_sense_is_refused(db: Database, name: str, limit: int | None, said: str) -> None:
    with pytest.raises(Conflict, match=said):
        await set_limit(db, name, limit)
