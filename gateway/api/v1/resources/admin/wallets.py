"""`/v1/admin/wallets`: money of users, in and out."""

from decimal import Decimal
from uuid import UUID

import msgspec

from gateway import errors
from gateway.accounts.people import store as people
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Amount, Currency, Money, Note, Page, PageQuery, Reference, money, page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.ledger import LedgerEntry, LedgerQuery, page_of
from gateway.db.engine import Transaction
from gateway.errors import NotFound
from gateway.ledger import store
from gateway.ledger.booking import Booking, book
from gateway.ledger.reading import store as wallets
from gateway.ledger.reading.model import WalletRow


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """A user's money in one currency: `balance` is owned, `hold` frozen by open orders, `available` the rest.

    Below `low_balance` the user is told (`balance.low`), and operators are.
    """

    id: UUID
    user_id: UUID
    currency: Currency
    balance: Money
    hold: Money
    available: Money
    low_balance: Money | None


class WalletsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which wallets."""

    user: UUID | None = None
    currency: Currency | None = None


class NewWallet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wallet to be opened; one that is there is answered as it is."""

    user: UUID
    currency: Currency


class WalletChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Below which amount the user is told; null for never."""

    low_balance: Amount | None


class Movement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money to be booked; the same `reference` is booked once a wallet and kind of movement."""

    amount: Amount
    reference: Reference
    note: Note | None = None


@operation("GET", "/admin/wallets", scope=Scope.ADMIN, tag="admin: wallets", returns=Page[Wallet])
async def admin_list_wallets(call: Call, query: WalletsQuery) -> Reply:
    """List wallets, in the order in which they were opened."""
    async with call.db.connection() as connection:
        found = await wallets.list_wallets(connection, query.user, query.currency, query.after, query.limit + 1)
    return Reply(page([_shown(each) for each in found], query.limit, [each.id for each in found]))


@operation(
    "POST",
    "/admin/wallets",
    scope=Scope.ADMIN,
    tag="admin: wallets",
    example={"user": "01932c07-9f2b-7cc0-b2d8-3a0f6f2f1a55", "currency": "EUR"},
    returns=Wallet,
    refuses=(errors.NotFound,),
    status=201,
)
async def admin_open_wallet(call: Call, body: NewWallet) -> Reply:
    """Open a wallet of a user in a currency."""

    async def create(tx: Transaction) -> Reply:
        if await people.find_user(tx, body.user) is None:
            raise NotFound("user")
        return Reply(_shown(await _find(tx, await store.open_wallet(tx, body.user, body.currency))), 201)

    return await once.once(call, create, call.acting())


@operation("GET", "/admin/wallets/{wallet}", scope=Scope.ADMIN, tag="admin: wallets", returns=Wallet)
async def admin_get_wallet(call: Call) -> Reply:
    """Show a wallet."""
    async with call.db.connection() as connection:
        return Reply(_shown(await _find(connection, call.uuid("wallet", "wallet"))))


@operation(
    "PATCH",
    "/admin/wallets/{wallet}",
    scope=Scope.ADMIN,
    tag="admin: wallets",
    example={"low_balance": "10.00"},
    returns=Wallet,
)
async def admin_change_wallet(call: Call, body: WalletChange) -> Reply:
    """Set below which amount the user is told."""
    async with call.acting().transaction() as tx:
        before = await _find(tx, call.uuid("wallet", "wallet"), lock=True)
        call.check_unchanged(_shown(before))
        await wallets.set_low_balance(tx, before.id, None if body.low_balance is None else Decimal(body.low_balance))
        after = await _find(tx, before.id)
    return Reply(_shown(after))


@operation("GET", "/admin/wallets/{wallet}/ledger", scope=Scope.ADMIN, tag="admin: wallets", returns=Page[LedgerEntry])
async def admin_list_ledger(call: Call, query: LedgerQuery) -> Reply:
    """List the movements of a wallet, the newest first."""
    async with call.db.connection() as connection:
        wallet = await _find(connection, call.uuid("wallet", "wallet"))
        return Reply(await page_of(call, connection, wallet.id, wallet.user_id, query))


_BOOKING = (errors.Conflict, errors.ReferenceTaken, errors.AlreadyBooked)
_MONEY = (*_BOOKING, errors.InsufficientFunds)


@operation(
    "POST",
    "/admin/wallets/{wallet}/deposits",
    scope=Scope.ADMIN,
    tag="admin: wallets",
    example={"amount": "25.00", "reference": "invoice 2026-117"},
    returns=Wallet,
    status=201,
    refuses=_BOOKING,
)
async def admin_deposit(call: Call, body: Movement) -> Reply:
    """Book money in."""
    return await _book(call, "deposit", body)


@operation(
    "POST",
    "/admin/wallets/{wallet}/withdrawals",
    scope=Scope.ADMIN,
    tag="admin: wallets",
    example={"amount": "5.00", "reference": "payout 12"},
    returns=Wallet,
    status=201,
    refuses=_MONEY,
)
async def admin_withdraw(call: Call, body: Movement) -> Reply:
    """Book a pay-out to the user, of what he can spend at most."""
    return await _book(call, "withdraw", body)


@operation(
    "POST",
    "/admin/wallets/{wallet}/fees",
    scope=Scope.ADMIN,
    tag="admin: wallets",
    example={"amount": "1.00", "reference": "fee 3"},
    returns=Wallet,
    status=201,
    refuses=_MONEY,
)
async def admin_charge_fee(call: Call, body: Movement) -> Reply:
    """Book a fee, of what the user can spend at most."""
    return await _book(call, "fee", body)


@operation(
    "POST",
    "/admin/wallets/{wallet}/refunds",
    scope=Scope.ADMIN,
    tag="admin: wallets",
    example={"amount": "1.00", "reference": "goodwill 4"},
    returns=Wallet,
    status=201,
    refuses=_BOOKING,
)
async def admin_refund_wallet(call: Call, body: Movement) -> Reply:
    """Book a refund that is of no order; that of an order is `POST /v1/admin/orders/{order}/refund`."""
    return await _book(call, "refund", body)


async def _book(call: Call, booking: Booking, body: Movement) -> Reply:
    async def action(tx: Transaction) -> Reply:
        wallet = await _find(tx, call.uuid("wallet", "wallet"))
        await book(tx, wallet.id, booking, Decimal(body.amount), reference=body.reference, note=body.note)
        return Reply(_shown(await _find(tx, wallet.id)), 201)

    return await once.once(call, action, call.acting(body.note))


async def _find(tx: Transaction, wallet_id: UUID, *, lock: bool = False) -> WalletRow:
    found = await wallets.find_wallet(tx, wallet_id, lock=lock)
    if found is None:
        raise NotFound("wallet")
    return found


def _shown(row: WalletRow) -> Wallet:
    return Wallet(
        id=row.id,
        user_id=row.user_id,
        currency=row.currency,
        balance=money(row.balance),
        hold=money(row.hold_amount),
        available=money(row.balance - row.hold_amount),
        low_balance=None if row.low_balance is None else money(row.low_balance),
    )


OPERATIONS = [
    admin_list_wallets, admin_open_wallet, admin_get_wallet, admin_change_wallet, admin_list_ledger, admin_deposit,
    admin_withdraw, admin_charge_fee, admin_refund_wallet,
]  # fmt: skip
