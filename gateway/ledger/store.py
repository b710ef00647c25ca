"""SQL of wallets and the ledger."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.db import refusals
from gateway.db.engine import Transaction
from gateway.ledger.model import Booked, Entry, EntryType, Reference, Wallet

_WALLET = "id, user_id, currency, balance, hold_amount, last_seq, low_balance"


async def lock(tx: Transaction, wallet_ids: Iterable[UUID]) -> dict[UUID, Wallet]:
    """The wallets, locked in id order until the transaction ends."""
    rows = await tx.fetch(
        f"SELECT {_WALLET} FROM wallets WHERE id = ANY($1) ORDER BY id FOR UPDATE", list(set(wallet_ids))
    )
    return {row["id"]: Wallet(*row) for row in rows}


async def lock_free(tx: Transaction, wallet_ids: Iterable[UUID]) -> set[UUID]:
    """Which of the wallets nobody else holds; waits for none, and locks those until the transaction ends."""
    rows = await tx.fetch(
        "SELECT id FROM wallets WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED", list(set(wallet_ids))
    )
    return {row["id"] for row in rows}


async def lock_of_owners(tx: Transaction, owners: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], Wallet]:
    """The wallets of `(user, currency)` pairs, locked in id order until the transaction ends."""
    pairs = set(owners)
    rows = await tx.fetch(
        f"""
        SELECT {_WALLET} FROM wallets
         WHERE (user_id, currency) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))
         ORDER BY id FOR UPDATE
        """,
        [user_id for user_id, _ in pairs],
        [currency for _, currency in pairs],
    )
    return {(row["user_id"], row["currency"]): Wallet(*row) for row in rows}


async def find(tx: Transaction, wallet_id: UUID) -> Wallet | None:
    row = await tx.fetchrow(f"SELECT {_WALLET} FROM wallets WHERE id = $1", wallet_id)
    return Wallet(*row) if row else None


async def spendable_of(tx: Transaction, wallet_ids: Iterable[UUID]) -> dict[UUID, Decimal]:
    """What can be spent of each wallet as it is committed; it locks none."""
    rows = await tx.fetch(
        "SELECT id, balance - hold_amount AS spendable FROM wallets WHERE id = ANY($1)", list(set(wallet_ids))
    )
    return {row["id"]: row["spendable"] for row in rows}


async def open_wallet(tx: Transaction, user_id: UUID, currency: str) -> UUID:
    """The id of the user's wallet in the currency, made where there was none."""
    await tx.execute(
        "INSERT INTO wallets (id, user_id, currency) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        uuid7(),
        user_id,
        currency,
    )
    wallet_id: UUID = await tx.fetchval(
        "SELECT id FROM wallets WHERE user_id = $1 AND currency = $2", user_id, currency
    )
    return wallet_id


async def find_booked(tx: Transaction, reference: Reference, entry_type: EntryType) -> Booked | None:
    """The row that is booked for it. Whoever holds the lock of the wallet knows that none comes meanwhile."""
    row = await tx.fetchrow(
        """
        SELECT l.id, l.amount, l.created_at
          FROM ledger_references r JOIN ledger l ON l.wallet_id = r.wallet_id AND l.wallet_seq = r.wallet_seq
         WHERE r.reference_type = $1 AND r.reference_id = $2 AND r.part = $3 AND r.type = $4
        """,
        reference.type,
        reference.id,
        reference.part,
        entry_type.value,
    )
    return Booked(*row) if row else None


async def write(tx: Transaction, wallets: Iterable[Wallet], entries: Sequence[Entry]) -> None:
    """Put down what `model.post` decided: rows, their references, and the wallets as they are now.

    The wallets must be locked by this transaction. One that falls below the low balance its user set has an
    event of it in the same statement.

    Raises:
        Conflict: one of the entries was booked before.
    """
    if not entries:
        return
    changed = list(wallets)
    with refusals.told(_BOOKED_BEFORE):
        await tx.execute(f"WITH {BOOKING[has_low(changed)]} SELECT", *booking(changed, entries))


def has_low(wallets: Iterable[Wallet]) -> bool:
    """Which `BOOKING` it takes: whether one of them, as it is to be, may have fallen below its low balance just now."""
    return any(wallet.is_low for wallet in wallets)


def booking(wallets: Sequence[Wallet], entries: Sequence[Entry]) -> list[list[Any]]:
    """What fills a `BOOKING`, from `$1` to `$5`."""
    return [
        list(entries),
        [wallet.id for wallet in wallets],
        [wallet.balance for wallet in wallets],
        [wallet.hold_amount for wallet in wallets],
        [wallet.last_seq for wallet in wallets],
    ]


_BOOKED_BEFORE = {"uq_ledger_references_once": "this was booked before"}
_BOOKING = """
entry AS (
  SELECT e.*, reference ->> 'type' AS reference_type, (reference ->> 'id')::uuid AS reference_id,
         reference ->> 'part' AS part
    FROM jsonb_to_recordset($1) AS e(id uuid, user_id uuid, wallet_id uuid, wallet_seq bigint, type text,
      amount numeric, balance_before numeric, balance_after numeric, hold_before numeric, hold_after numeric,
      reference jsonb, description text, metadata jsonb)
), reference AS (
  INSERT INTO ledger_references (wallet_id, wallet_seq, reference_type, reference_id, part, type)
  SELECT wallet_id, wallet_seq, reference_type, reference_id, part, type FROM entry
), wallet AS (
  UPDATE wallets w SET balance = n.balance, hold_amount = n.hold_amount, last_seq = n.last_seq
    FROM unnest($2::uuid[], $3::numeric[], $4::numeric[], $5::bigint[]) AS n(id, balance, hold_amount, last_seq)
   WHERE w.id = n.id
), booked AS (
  INSERT INTO ledger (id, user_id, wallet_id, wallet_seq, type, amount, balance_before, balance_after,
    hold_before, hold_after, reference_type, reference_id, description, metadata)
  SELECT id, user_id, wallet_id, wallet_seq, type, amount, balance_before, balance_after,
    hold_before, hold_after, reference_type, reference_id, description, metadata FROM entry
)
"""
_LOW = """
, low AS (
  INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
  SELECT 'balance.low', w.user_id, 'wallet', w.id,
         jsonb_build_object('currency', w.currency, 'available', trim_scale(n.balance - n.hold_amount)::text,
                            'threshold', trim_scale(w.low_balance)::text),
         coalesce((SELECT max(e.sequence) FROM events e WHERE e.object_type = 'wallet' AND e.object_id = w.id), 0) + 1
    FROM wallets w
    JOIN unnest($2::uuid[], $3::numeric[], $4::numeric[]) AS n(id, balance, hold_amount) ON n.id = w.id
   WHERE w.balance - w.hold_amount >= w.low_balance AND n.balance - n.hold_amount < w.low_balance
  RETURNING id, user_id
), told AS (
  INSERT INTO event_outbox (event_id)
  SELECT l.id FROM low l WHERE EXISTS (SELECT FROM webhooks h WHERE h.user_id = l.user_id AND h.is_active)
)
"""
BOOKING = {False: _BOOKING, True: _BOOKING + _LOW}
"""What `write` does, as tables of a WITH, for statements that write the cause as well; with `has_low` or without.

To start an INSERT costs PostgreSQL more than the row, so that those which nearly always find nothing are left out.
"""
