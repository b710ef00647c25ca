"""Sealing anew, row by row, without a lock for longer than one of them."""

from datetime import datetime
from uuid import UUID

import msgspec

from gateway.db.engine import ROLLED_BACK, Database
from gateway.errors import Unavailable
from gateway.keyring import Keyring, KeyringError
from gateway.rotation import store
from gateway.rotation.store import PLACES, Dependents, Place, Sealed

ROWS_AT_ONCE = 100
PASSES_MAX = 3
"""What was changed or locked meanwhile is looked at again so many times; the last pass finds nothing to do."""


class Left(msgspec.Struct, frozen=True):
    """A row that is still under an older secret, and why."""

    table: str
    id: UUID
    label: str
    reason: str


class Rotation(msgspec.Struct, frozen=True):
    """What was done, by table; in a dry run, what would be."""

    secret_id: str
    resealed: dict[str, int]
    left: list[Left]


class Standing(msgspec.Struct, frozen=True):
    """One secret: whether SECRET_KEY lists it, and which rows need it."""

    secret_id: str | None
    is_listed: bool
    is_newest: bool
    providers: int
    webhooks: int
    api_keys: int
    api_keys_last_used_at: datetime | None


async def rotate(db: Database, keyring: Keyring, *, dry_run: bool = False) -> Rotation:
    """Seal every value that is under another secret than the newest under that one.

    Each row is written by itself, and only where it still holds what was read: a key that is changed
    meanwhile stays as it was changed. A row that cannot be opened is left, and told. Whenever this
    ends, every row opens under the secrets that are listed, and the next call goes on.

    Raises:
        Unavailable: the database does not answer.
    """
    resealed = {place.table: 0 for place in PLACES}
    left: list[Left] = []
    for place in PLACES:
        for _ in range(PASSES_MAX):
            done, left_here, missed = await _pass(db, keyring, place, dry_run=dry_run)
            resealed[place.table] += done
            if dry_run or not (done or missed):
                break
        left += left_here + [_left(place, row, "in use or changed by others all the time") for row in missed]
    return Rotation(keyring.kid, resealed, left)


async def _pass(db: Database, keyring: Keyring, place: Place, *, dry_run: bool) -> tuple[int, list[Left], list[Sealed]]:
    """Once over the table: how many were sealed anew, which cannot be opened, which others were faster with."""
    done, left, missed, after = 0, list[Left](), list[Sealed](), UUID(int=0)
    while True:
        async with db.connection() as connection:
            rows = await store.list_older(connection, place, keyring.kid, after, ROWS_AT_ONCE)
        for row in rows:
            try:
                value = keyring.unseal(row.blob, place.table, place.column, row.id)
            except KeyringError as error:
                left.append(_left(place, row, str(error)))
                continue
            blob = keyring.seal(value, place.table, place.column, row.id)
            if dry_run or await _replace(db, place, row, blob):
                done += 1
            else:
                missed.append(row)
        if len(rows) < ROWS_AT_ONCE:
            return done, left, missed
        after = rows[-1].id


async def _replace(db: Database, place: Place, row: Sealed, blob: str) -> bool:
    """False where it is to be looked at again."""
    try:
        async with db.transaction() as tx:
            return await store.replace(tx, place, row, blob)
    except Unavailable as error:
        if isinstance(error.__cause__, ROLLED_BACK):
            return False
        raise


def _left(place: Place, row: Sealed, reason: str) -> Left:
    return Left(place.table, row.id, row.label, reason)


async def standings(db: Database, keyring: Keyring) -> list[Standing]:
    """The secrets that are listed, newest first, then those that rows need and nobody lists."""
    async with db.connection() as connection:
        found = {each.secret_id: each for each in await store.count_dependents(connection)}
    listed: tuple[str | None, ...] = keyring.kids
    others = [secret_id for secret_id in found if secret_id not in listed]
    return [_standing(secret_id, keyring, found.get(secret_id)) for secret_id in (*listed, *others)]


def _standing(secret_id: str | None, keyring: Keyring, needed: Dependents | None) -> Standing:
    needed = needed or Dependents(secret_id, 0, 0, 0, None)
    return Standing(
        secret_id,
        is_listed=secret_id in keyring.kids,
        is_newest=secret_id == keyring.kid,
        providers=needed.providers,
        webhooks=needed.webhooks,
        api_keys=needed.api_keys,
        api_keys_last_used_at=needed.api_keys_last_used_at,
    )
