"""SQL of reading the ledger: in the order of each wallet's rows, visiting only the months that can hold them."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from gateway.db.engine import Transaction
from gateway.db.partitions import FIRST_ID, LAST_ID, id_at
from gateway.ledger.model import EntryType
from gateway.ledger.reading.model import Line, Standing, WalletRow, Wanted

CLOCKS_APART = timedelta(minutes=10)
"""How far the clock of a process that made an id may be from the database's."""
BATCH = 500

_LINE = """
l.id, l.wallet_seq AS seq, l.type, l.amount, l.balance_after, l.hold_after, l.reference_type, l.reference_id,
CASE WHEN l.reference_type = 'order' THEN (SELECT number FROM orders WHERE id = l.reference_id) END AS order,
l.description, l.metadata ->> 'reference' AS reference, l.metadata ->> 'note' AS note, l.created_at
"""
_WALLET = "id, user_id, currency, balance, hold_amount, low_balance"


async def list_lines(tx: Transaction, wanted: Wanted) -> list[Line]:
    """The newest first."""
    values: list[object] = [wanted.wallet_id, _low(wanted), _high(wanted)]
    conditions = ["wallet_id = $1", "id >= $2", "id < $3"]
    if wanted.type is not None:
        conditions.append(f"type = '{wanted.type.value}'")  # a constant, which `idx_ledger_rare` is found by
    source = "ledger"
    if wanted.order_id is not None:  # an order has few rows, whatever else is asked for: they are read before it
        values.append(wanted.order_id)
        of_order = "reference_type = 'order' AND reference_id = $4 AND id >= $2 AND id < $3"
        source = f"(SELECT * FROM ledger WHERE {of_order} OFFSET 0) l"
    for condition, value in (
        ("created_at >= {}", wanted.since),
        ("created_at < {}", wanted.until),
        ("wallet_seq < (SELECT wallet_seq FROM ledger WHERE id = {} AND wallet_id = $1)", wanted.before),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))
    values.append(wanted.most)
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM (
          SELECT * FROM {source} WHERE {" AND ".join(conditions)} ORDER BY wallet_seq DESC LIMIT ${len(values)}) l
         ORDER BY l.wallet_seq DESC
        """,
        *values,
    )
    return [Line(**{**row, "type": EntryType(row["type"])}) for row in rows]


async def list_wallets(
    tx: Transaction, user_id: UUID | None, currency: str | None, after: UUID | None, most: int
) -> list[WalletRow]:
    """In the order in which they were opened."""
    rows = await tx.fetch(
        f"""
        SELECT {_WALLET} FROM wallets
         WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2::text IS NULL OR currency = $2)
           AND ($3::uuid IS NULL OR id > $3) ORDER BY id LIMIT $4
        """,
        user_id,
        currency,
        after,
        most,
    )
    return [WalletRow(**row) for row in rows]


async def find_wallet(tx: Transaction, wallet_id: UUID, *, lock: bool = False) -> WalletRow | None:
    row = await tx.fetchrow(f"SELECT {_WALLET} FROM wallets WHERE id = $1{' FOR UPDATE' if lock else ''}", wallet_id)
    return WalletRow(**row) if row else None


async def set_low_balance(tx: Transaction, wallet_id: UUID, low_balance: Decimal | None) -> None:
    await tx.execute("UPDATE wallets SET low_balance = $2 WHERE id = $1", wallet_id, low_balance)


async def standing_at(tx: Transaction, wallet_id: UUID, moment: datetime) -> Standing:
    """After the last row that was written by then, by the database's clock; nothing before the first.

    A row's time is the beginning of its transaction, and its place is given under the wallet's lock.
    """
    row = await tx.fetchrow(
        """
        SELECT wallet_seq, balance_after, hold_after FROM ledger
         WHERE wallet_id = $1 AND created_at <= $2 AND id < $3 ORDER BY wallet_seq DESC LIMIT 1
        """,
        wallet_id,
        moment,
        id_at(moment + CLOCKS_APART),
    )
    return Standing(*row) if row else Standing(0, Decimal(0), Decimal(0))


async def lines_between(tx: Transaction, wallet_id: UUID, after_seq: int, last_seq: int, since: datetime) -> list[Line]:
    """At most `BATCH` rows behind `after_seq`, up to `last_seq`, in their order; none is older than `since`."""
    rows = await tx.fetch(
        f"""
        SELECT {_LINE} FROM (
          SELECT * FROM ledger WHERE wallet_id = $1 AND wallet_seq > $2 AND wallet_seq <= $3 AND id >= $4
           ORDER BY wallet_seq LIMIT $5) l
         ORDER BY l.wallet_seq
        """,
        wallet_id,
        after_seq,
        last_seq,
        id_at(since - CLOCKS_APART),
        BATCH,
    )
    return [Line(**{**row, "type": EntryType(row["type"])}) for row in rows]


def _low(wanted: Wanted) -> UUID:
    return id_at(wanted.since - CLOCKS_APART) if wanted.since else FIRST_ID


def _high(wanted: Wanted) -> UUID:
    return id_at(wanted.until + CLOCKS_APART) if wanted.until else LAST_ID
