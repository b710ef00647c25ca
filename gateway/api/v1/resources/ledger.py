"""`/v1/ledger`: every movement of the caller's money."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Money, Number, Page, PageQuery, money, page
from gateway.api.v1.operations import operation
from gateway.clock import utc_now
from gateway.db.engine import Transaction
from gateway.errors import Invalid
from gateway.ledger.model import EntryType
from gateway.ledger.reading import store
from gateway.ledger.reading.model import Line, Wanted
from gateway.ledger.reading.statements import statement
from gateway.orders.lists import store as lists

STATEMENT_MAX = timedelta(days=366)
Time = Annotated[datetime, Meta(tz=True)]


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement. `deposit` and `refund` add to the balance, `fee` and `withdraw` take from it; `hold` freezes,
    `release` and `withdraw` let go.

    `seq` counts the rows of the wallet without a gap. `order` is the order's number, `reference` the operator's.
    """

    id: UUID
    seq: int
    type: EntryType
    amount: Money
    balance_after: Money
    hold_after: Money
    order: Number | None
    reference: str | None
    note: str | None
    created_at: datetime


class LedgerQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which movements: `since` is included, `until` is not, `order` is a number."""

    type: EntryType | None = None
    order: Number | None = None
    since: Time | None = None
    until: Time | None = None


class StatementQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time of at most 366 days; up to now where `until` is not given."""

    since: Time
    until: Time | None = None


@operation("GET", "/ledger", scope=Scope.LEDGER_READ, tag="ledger", returns=Page[LedgerEntry])
async def list_ledger(call: Call, query: LedgerQuery) -> Reply:
    """List the movements of the wallet that the key pays from, the newest first."""
    async with call.db.connection() as connection:
        return Reply(await page_of(call, connection, call.account.wallet_id, call.account.user_id, query))


@operation(
    "GET", "/ledger/statement", scope=Scope.LEDGER_READ, tag="ledger", returns=bytes, media_type="text/csv"
)  # fmt: skip
async def get_statement(call: Call, query: StatementQuery) -> Reply:
    """Download a statement as CSV: what there was, each movement, what there is then."""
    until = query.until or utc_now()
    if not timedelta(0) < until - query.since <= STATEMENT_MAX:
        raise Invalid([("query.until", "it is not behind since, or more than 366 days behind it")])
    headers = {"Content-Disposition": 'attachment; filename="statement.csv"'}
    lines = statement(call.db, call.account.wallet_id, query.since, until)
    return Reply(lines, headers=headers, media_type="text/csv")


async def page_of(call: Call, tx: Transaction, wallet_id: UUID, user_id: UUID, query: LedgerQuery) -> Page[LedgerEntry]:
    """A page of one wallet's movements; of an order that is not the user's there are none."""
    order_id: UUID | None = None
    if query.order is not None:
        ids = await lists.ids_of_numbers(tx, user_id, query.order, call.parts.reader.ranges(query.order))
        if not ids:
            return Page([], None, False)
        order_id = ids[0]
    found = await store.list_lines(
        tx,
        Wanted(
            wallet_id=wallet_id,
            type=query.type,
            order_id=order_id,
            since=query.since,
            until=query.until,
            before=query.after,
            most=query.limit + 1,
        ),
    )
    return page([_shown(line) for line in found], query.limit, [line.id for line in found])


def _shown(line: Line) -> LedgerEntry:
    return LedgerEntry(
        id=line.id,
        seq=line.seq,
        type=line.type,
        amount=money(line.amount),
        balance_after=money(line.balance_after),
        hold_after=money(line.hold_after),
        order=line.order,
        reference=line.reference,
        note=line.note,
        created_at=line.created_at,
    )


OPERATIONS = [list_ledger, get_statement]
