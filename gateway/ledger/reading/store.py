"""SQL of reading the ledger: in the order of each wallet's rows, visiting only the months that can hold them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from gateway.db.engine import Transaction, reading_by_index
from gateway.db.partitions import EACH_MONTH, FIRST_ID, LAST_ID, id_at, newest_first
from gateway.ledger.model import EntryType
from gateway.ledger.reading.model import Line, Standing, StatementLine, WalletRow, Wanted

CLOCKS_APART = timedelta(minutes=10)
"""How far the clock of a process that made an id may be from the database's; longer than any transaction takes."""
_APART = timedelta(days=1)
"""How far a wallet's ids may be the wrong way round: far more than two clocks make them, since it costs little."""
NEAR = timedelta(days=28)
NEAR_ROWS = 2000
"""In so many a wallet is met that has one row in some hundreds of all."""
BATCH = 500
SEQ_MAX = 2**63 - 1

_LINE = (
    "id, wallet_seq AS seq, type, amount, balance_after, hold_after, reference_type, reference_id, description, "
    "metadata ->> 'reference' AS reference, metadata ->> 'note' AS note, created_at"
)
_WALLET = "id, user_id, currency, balance, hold_amount, low_balance"


async def list_lines(tx: Transaction, wanted: Wanted) -> list[Line]:
    """The newest first."""
    conditions = ["wallet_id = $5"]
    values: list[object] = [wanted.wallet_id]
    if wanted.type is not None:
        conditions.append(f"type = '{wanted.type.value}'")  # a constant, which `idx_ledger_rare` is found by
    source = "ledger"
    if wanted.order_id is not None:  # an order has few rows, whatever else is asked for: they are read before it
        values.append(wanted.order_id)
        of_order = "reference_type = 'order' AND reference_id = $6 AND id >= m.low AND id < m.high"
        source = f"(SELECT * FROM ledger WHERE {of_order} OFFSET 0) l"
    last_seq = await _find_later(tx, wanted.wallet_id, wanted.until) if wanted.until and not wanted.order_id else None
    for condition, value in (
        ("created_at >= {}", wanted.since),
        ("created_at < {}", wanted.until),
        ("wallet_seq <= {}", last_seq),
        ("wallet_seq < (SELECT wallet_seq FROM ledger WHERE id = {} AND wallet_id = $5)", wanted.before),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values) + 4}"))
    return await _with_orders(tx, await _newest(tx, _LINE, source, conditions, _span(wanted), wanted.most, values))


async def _newest(
    tx: Transaction,
    columns: str,
    source: str,
    conditions: Sequence[str],
    span: tuple[UUID, UUID],
    most: int,
    values: Sequence[object],
) -> list[asyncpg.Record]:
    """So many rows with the last places of those in the span of ids, by conditions of the values from `$5` on.

    Month by month within one statement, until there are so many: its plan is kept, where to plan it anew for all months
    takes ten times as long as to run it. A row of the month before may have a later place than the first rows of a
    month, by clocks that are apart, but than no other; where that may be, both are read whole before they are cut.
    """
    query = f"""
        SELECT l.* FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[])) AS m(low, high)
         CROSS JOIN LATERAL (SELECT {columns} FROM {source}
                              WHERE {" AND ".join(conditions)} AND id >= m.low AND id < m.high
                              ORDER BY wallet_seq DESC LIMIT $3) l
         LIMIT $4
    """
    months = list(newest_first(*span, datetime.now(UTC), EACH_MONTH))

    async def read(months: Sequence[tuple[UUID, UUID]], rows_max: int | None) -> list[asyncpg.Record]:
        lows, highs = [low for low, _ in months], [high for _, high in months]
        async with reading_by_index(tx):
            rows = await tx.fetch(query, lows, highs, most, rows_max, *values)
        return sorted(rows, key=lambda row: row["seq"], reverse=True)

    rows = await read(months, most)
    if len(rows) == most:
        oldest = min(row["id"] for row in rows)
        last, (low, high) = next((place, month) for place, month in enumerate(months) if month[0] <= oldest)
        is_near_end = last + 1 < len(months) and rows[-1]["id"] < _later(low, _APART)
        if is_near_end or rows[-1]["id"] >= high:
            rows = (await read(months[: last + 2], None))[:most]
    return rows


async def _with_orders(tx: Transaction, rows: list[asyncpg.Record]) -> list[Line]:
    """With the numbers of their orders, which are looked up apart: within a list all months are planned for twice."""
    known = await _numbers_of(tx, {row["reference_id"] for row in rows if row["reference_type"] == "order"})
    return [Line(**{**row, "type": EntryType(row["type"]), "order": known.get(row["reference_id"])}) for row in rows]


async def _numbers_of(tx: Transaction, orders: set[UUID]) -> dict[UUID, int]:
    rows = await tx.fetch(_NUMBERS, list(orders)) if orders else []
    return dict(map(tuple, rows))


_NUMBERS = """
SELECT o.id, o.number FROM unnest((SELECT $1::uuid[])) AS w(id)
 CROSS JOIN LATERAL (SELECT id, number FROM orders WHERE id = w.id OFFSET 0) o
"""
"""The array is SELECTed lest the planner sees how long it is, and plans for all months anew where it is short."""


def _span(wanted: Wanted) -> tuple[UUID, UUID]:
    """`(lowest id, id above all)` of the lines: of an order none is older, behind another line none is newer."""
    low = id_at(wanted.since - CLOCKS_APART) if wanted.since else FIRST_ID
    high = id_at(wanted.until + CLOCKS_APART) if wanted.until else LAST_ID
    return (
        max(low, _later(wanted.order_id, -_APART)) if wanted.order_id else low,
        min(high, _later(wanted.before, _APART)) if wanted.before else high,
    )


def _later(row_id: UUID, by: timedelta) -> UUID:
    """An id of so much later, or earlier where that is negative; as far as there are ids."""
    return UUID(int=min(max(row_id.int + (by // timedelta(milliseconds=1) << 80), FIRST_ID.int), LAST_ID.int))


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
    rows = await _newest(
        tx,
        "id, wallet_seq AS seq, balance_after, hold_after",
        "ledger",
        ("wallet_id = $5", "created_at <= $6", "wallet_seq <= $7"),
        (FIRST_ID, id_at(moment + CLOCKS_APART)),
        1,
        (wallet_id, moment, await _find_later(tx, wallet_id, moment) or SEQ_MAX),
    )
    for row in rows:
        return Standing(row["seq"], row["balance_after"], row["hold_after"])
    return Standing(0, Decimal(0), Decimal(0))


async def _find_later(tx: Transaction, wallet_id: UUID, moment: datetime) -> int | None:
    """The place of a row of the wallet that, with all behind it, is later than `moment`; None where none is near.

    Whoever looks for the last row by then would else pass over all those of its month that are later: of a wallet
    with many rows one is soon met, and of one with few there are few to pass over.
    """
    seq: int | None = await tx.fetchval(
        """
        SELECT wallet_seq FROM (
          SELECT wallet_id, wallet_seq FROM ledger WHERE id >= $2 AND id < $3 ORDER BY id LIMIT $4) l
         WHERE wallet_id = $1 LIMIT 1
        """,
        wallet_id,
        _later(id_at(moment), 2 * CLOCKS_APART),
        _later(id_at(moment), NEAR),
        NEAR_ROWS,
    )
    return seq


async def lines_between(
    tx: Transaction, wallet_id: UUID, after_seq: int, last_seq: int, since: datetime
) -> list[StatementLine]:
    """At most `BATCH` rows behind `after_seq`, up to `last_seq`, in their order; none is older than `since`."""
    rows = await tx.fetch(
        """
        SELECT wallet_seq AS seq, created_at, type, trim_scale(amount)::text AS amount,
               trim_scale(balance_after)::text AS balance, trim_scale(hold_after)::text AS hold, reference_id,
               reference_type = 'order' AS is_of_order, metadata ->> 'reference' AS reference,
               metadata ->> 'note' AS note
          FROM ledger WHERE wallet_id = $1 AND wallet_seq > $2 AND wallet_seq <= $3 AND id >= $4
         ORDER BY wallet_seq LIMIT $5
        """,
        wallet_id,
        after_seq,
        last_seq,
        id_at(since - CLOCKS_APART),
        BATCH,
    )
    numbers = await _numbers_of(tx, {reference_id for *_, reference_id, is_of_order, _, _ in rows if is_of_order})
    return [
        StatementLine(seq, at, kind, amount, balance, hold, numbers.get(reference_id), reference, note)
        for seq, at, kind, amount, balance, hold, reference_id, _, reference, note in rows
    ]
