"""A statement of a wallet, written batch by batch, so that it may be as long as it is."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from gateway.db.engine import Database
from gateway.ledger.reading import store
from gateway.ledger.reading.model import HEADER, csv_of, row_of, row_of_standing


async def statement(db: Database, wallet_id: UUID, since: datetime, until: datetime) -> AsyncIterator[bytes]:
    """CSV: what there was, each row from `since` up to `until`, what there is then.

    The first and last row are looked up once, and rows never change, so that every batch may be read by
    itself: no connection is held while the reader takes its time.
    """
    async with db.connection() as connection:
        opening = await store.standing_at(connection, wallet_id, since)
        closing = await store.standing_at(connection, wallet_id, until)
    head = csv_of([HEADER, row_of_standing("opening", since, opening)])
    seq = opening.seq
    while seq < closing.seq:
        async with db.connection() as connection:
            lines = await store.lines_between(connection, wallet_id, seq, closing.seq, since)
        if not lines:
            raise LookupError(f"row {seq + 1} of wallet {wallet_id} is missing")
        yield head + csv_of(row_of(line) for line in lines)
        head, seq = b"", lines[-1].seq
    yield head + csv_of([row_of_standing("closing", until, closing)])
