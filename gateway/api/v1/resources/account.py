"""`/v1/account` and `/v1/balance`: who calls, and what he can spend."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from gateway.accounts.model import Account as Caller
from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import Currency, Money, money
from gateway.api.v1.operations import operation
from gateway.errors import NotFound
from gateway.ledger import store as ledger
from gateway.ledger.model import Wallet


class Account(msgspec.Struct, frozen=True):
    """The caller: his user, and the key he came with. `scopes` null is all that the role may do."""

    user_id: UUID
    role: Literal["user", "reseller", "admin"]
    key_id: UUID
    key_name: str
    tier: str
    currency: Currency
    scopes: list[Scope] | None
    expires_at: datetime | None


class Balance(msgspec.Struct, frozen=True):
    """`balance` is what is owned, `hold` the part that open orders have frozen, `available` the rest."""

    currency: Currency
    balance: Money
    hold: Money
    available: Money


@operation("GET", "/account", scope=Scope.BALANCE_READ, tag="account", returns=Account)
async def get_account(call: Call) -> Reply:
    """Show whose key this is."""
    return Reply(_shown_account(call.account))


@operation("GET", "/balance", scope=Scope.BALANCE_READ, tag="account", returns=Balance)
async def get_balance(call: Call) -> Reply:
    """Show the wallet that the key pays from."""
    async with call.db.connection() as connection:
        wallet = await ledger.find(connection, call.account.wallet_id)
    if wallet is None:
        raise NotFound("wallet")
    return Reply(shown_balance(wallet))


def shown_balance(wallet: Wallet) -> Balance:
    return Balance(wallet.currency, money(wallet.balance), money(wallet.hold_amount), money(wallet.spendable))


def _shown_account(caller: Caller) -> Account:
    return Account(
        caller.user_id,
        caller.role,
        caller.key_id,
        caller.key_name,
        caller.tier,
        caller.currency,
        None if caller.permissions is None else [Scope(each) for each in caller.permissions],
        caller.expires_at,
    )


OPERATIONS = [get_account, get_balance]
