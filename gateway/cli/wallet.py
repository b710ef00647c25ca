"""`gateway wallet`: money in, and what there is."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import rich_click as click

from compat.money import LIMIT
from gateway.cli.output import json_option, print_fields, print_json
from gateway.cli.parameters import Currency, Email
from gateway.cli.surroundings import with_database
from gateway.errors import NotFound

if TYPE_CHECKING:
    from gateway.db.engine import Database, Transaction
    from gateway.ledger.model import Wallet
    from gateway.settings import Settings


class Amount(click.ParamType[Decimal]):
    """An amount in plain digits."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount", param, ctx)
        if not amount.is_finite() or "_" in str(value):
            self.fail(f"{value!r} is not an amount", param, ctx)
        if abs(amount) >= LIMIT:
            self.fail(f"{value!r} is too large an amount", param, ctx)
        return amount


@click.group()
def wallet() -> None:
    """Credit and show the money of users."""


@wallet.command()
@click.argument("email", type=Email())
@click.argument("amount", type=Amount())
@click.option("--reference", help="Of the payment; the same one is booked once.")
@click.option("--currency", type=Currency(), help="GATEWAY_CURRENCY where not given.")
@json_option
def deposit(email: str, amount: Decimal, reference: str | None, currency: str | None, as_json: bool) -> None:
    """Book money in."""

    async def action(db: "Database", settings: "Settings") -> "Wallet":
        from gateway.ledger import booking, store

        async with db.transaction() as tx:
            wallet_id = await store.open_wallet(tx, await _user_id(tx, email), currency or settings.currency)
            after, _ = await booking.deposit(tx, wallet_id, amount, reference=reference)
        return after

    _print_wallet(email, with_database(action), as_json)


@wallet.command("show")
@click.argument("email", type=Email())
@click.option("--currency", type=Currency(), help="GATEWAY_CURRENCY where not given.")
@json_option
def show_wallet(email: str, currency: str | None, as_json: bool) -> None:
    """Show a wallet: what is owned, what open orders hold and what can be spent."""

    async def action(db: "Database", settings: "Settings") -> "Wallet":
        from gateway.ledger import store

        wanted = currency or settings.currency
        async with db.transaction() as tx:
            found = await store.lock_of_owners(tx, [(await _user_id(tx, email), wanted)])
        for wallet in found.values():
            return wallet
        raise NotFound(f"a wallet of {email} in {wanted}")

    _print_wallet(email, with_database(action), as_json)


async def _user_id(tx: "Transaction", email: str) -> Any:
    from gateway.accounts import store
    from gateway.accounts.users import normal_email

    user_id = await store.find_user_id(tx, normal_email(email))
    if user_id is None:
        raise NotFound(f"user {email}")
    return user_id


def _print_wallet(email: str, wallet: "Wallet", as_json: bool) -> None:
    values = {
        "id": wallet.id,
        "email": email.strip().lower(),
        "currency": wallet.currency,
        "balance": wallet.balance,
        "hold": wallet.hold_amount,
        "spendable": wallet.spendable,
    }
    if as_json:
        print_json(values)
    else:
        print_fields(values)
