"""SQL of sealed values, whatever table they are in, and of the secrets that rows depend on."""

from datetime import datetime
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction


class Place(msgspec.Struct, frozen=True):
    """A column of sealed values; `label` is SQL for what an operator knows its row by."""

    table: str
    column: str
    label: str


PLACES = (
    Place("providers", "api_key_encrypted", "name"),
    Place("webhooks", "secret", "id::text"),
    Place("webhooks", "previous_secret", "id::text"),
)
"""The address of a webhook may have a secret in it, so its id names it."""


class Sealed(msgspec.Struct, frozen=True):
    """A row whose value is not under the newest secret."""

    id: UUID
    label: str
    blob: str


def _kid(column: str) -> str:
    """SQL for the id of the secret; null where the value is not a sealed one, so that nothing of it is shown."""
    return rf"substring({column} FROM '^v1\.([0-9a-f]{{16}})\.')"


async def list_older(tx: Transaction, place: Place, newest: str, after: UUID, most: int) -> list[Sealed]:
    """Rows that are not under the secret `newest`, with ids above `after`, in id order."""
    rows = await tx.fetch(
        f"""
        SELECT id, {place.label} AS label, {place.column} AS blob FROM {place.table}
         WHERE id > $1 AND {place.column} IS NOT NULL AND {_kid(place.column)} IS DISTINCT FROM $2
         ORDER BY id LIMIT $3
        """,
        after,
        newest,
        most,
    )
    return [Sealed(*row) for row in rows]


async def replace(tx: Transaction, place: Place, row: Sealed, blob: str) -> bool:
    """Put the same value there under another secret; False where the row has another value by now, or is gone.

    Nothing else of the row changes: it is no new key.
    """
    done = await tx.fetchval(
        f"UPDATE {place.table} SET {place.column} = $3 WHERE id = $1 AND {place.column} = $2 RETURNING true",
        row.id,
        row.blob,
        blob,
    )
    return bool(done)


class Dependents(msgspec.Struct, frozen=True):
    """How many rows need one secret. `secret_id` is None for values that are not sealed ones.

    Of API keys those that can still be used are counted, with the last use of any of them; one whose secret
    before the last rotation still works needs that one's too.
    """

    secret_id: str | None
    providers: int
    webhooks: int
    api_keys: int
    api_keys_last_used_at: datetime | None


async def count_dependents(tx: Transaction) -> list[Dependents]:
    """By secret id; a secret that no row needs is left out."""
    rows = await tx.fetch(
        f"""
        SELECT kid, count(*) FILTER (WHERE place = 'providers'), count(*) FILTER (WHERE place = 'webhooks'),
               count(*) FILTER (WHERE place = 'api_keys'), max(used_at)
          FROM (SELECT 'providers' AS place, {_kid("api_key_encrypted")} AS kid, NULL::timestamptz AS used_at
                  FROM providers
                UNION ALL SELECT 'webhooks', {_kid("secret")}, NULL FROM webhooks
                UNION ALL SELECT 'webhooks', {_kid("previous_secret")}, NULL FROM webhooks
                           WHERE previous_expires_at > now()
                UNION ALL SELECT 'api_keys', s.kid, last_used_at FROM api_keys CROSS JOIN LATERAL
                           (SELECT secret_id UNION
                            SELECT previous_secret_id WHERE previous_expires_at > now()) AS s(kid)
                           WHERE is_active AND coalesce(expires_at > now(), true)) AS rows
         GROUP BY kid ORDER BY kid
        """
    )
    return [Dependents(*row) for row in rows]
