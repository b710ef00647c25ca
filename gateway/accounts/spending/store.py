"""SQL of what keys with a cap spent, a row a key and day of UTC."""

from collections.abc import Iterable
from uuid import UUID

from gateway.accounts.spending.model import Spending
from gateway.db.engine import Transaction

KEPT_DAYS = 7


async def lock(tx: Transaction, key_ids: Iterable[UUID]) -> dict[UUID, Spending]:
    """Today's rows of the keys that have a cap, made where there are none, locked in key order until the transaction
    ends.

    Wallets are locked before them. Today is that of the database, at the transaction's begin.
    """
    rows = await tx.fetch(
        """
        WITH today AS (
          INSERT INTO key_spending AS s (api_key_id, day)
          SELECT id, (now() AT TIME ZONE 'UTC')::date FROM api_keys
           WHERE id = ANY($1::uuid[]) AND daily_spend_cap IS NOT NULL ORDER BY id
          ON CONFLICT (api_key_id, day) DO UPDATE SET spent = s.spent
          RETURNING api_key_id, day, spent
        )
        SELECT t.api_key_id, t.day, t.spent, k.daily_spend_cap FROM today t JOIN api_keys k ON k.id = t.api_key_id
        """,
        list(set(key_ids)),
    )
    return {row["api_key_id"]: Spending(*row) for row in rows}


async def write(tx: Transaction, days: Iterable[Spending]) -> None:
    """Put down days that this transaction has locked."""
    written = list(days)
    await tx.execute(
        """
        UPDATE key_spending s SET spent = n.spent FROM unnest($1::uuid[], $2::date[], $3::numeric[])
            AS n(api_key_id, day, spent)
         WHERE s.api_key_id = n.api_key_id AND s.day = n.day
        """,
        [each.key_id for each in written],
        [each.day for each in written],
        [each.spent for each in written],
    )


async def purge(tx: Transaction, most: int) -> int:
    """Delete days that are long over; how many."""
    rows = await tx.fetch(
        """
        DELETE FROM key_spending WHERE (api_key_id, day) IN (
          SELECT api_key_id, day FROM key_spending WHERE day < (now() AT TIME ZONE 'UTC')::date - $2::int
           LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING 1
        """,
        most,
        KEPT_DAYS,
    )
    return len(rows)
