"""`gateway wallet`: money in, and what there is."""

import csv
import io
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.amounts import NOTHING, OrNone
from gateway.cli.output import json_option, print_fields, print_json, show
from gateway.cli.parameters import Currency, Email, a_time
from gateway.cli.surroundings import with_database
from gateway.errors import NotFound

if TYPE_CHECKING:
    from gateway.db.engine import Database, Transaction
    from gateway.ledger.booking import Booking
    from gateway.ledger.model import Wallet
    from gateway.settings import Settings


class Amount(click.ParamType[Decimal]):
    """An amount in plain digits."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        from compat.money import LIMIT, is_exact

        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount", param, ctx)
        if not amount.is_finite() or "_" in str(value) or not str(value).isascii():
            self.fail(f"{value!r} is not an amount", param, ctx)
        if abs(amount) >= LIMIT:
            self.fail(f"{value!r} is too large an amount", param, ctx)
        if not is_exact(amount):
            self.fail(f"{value!r} has more than 8 decimal places", param, ctx)
        return amount


@click.group()
def wallet() -> None:
    """Credit and show the money of users."""


def _booking(name: "Booking", summary: str, of: str) -> None:
    """Add a command that books money of a user."""

    @wallet.command(name, help=summary)
    @click.argument("email", type=Email())
    @click.argument("amount", type=Amount())
    @click.option("--reference", help=f"Of the {of}; the same one is booked once.")
    @click.option("--note", help="For the books.")
    @click.option("--currency", type=Currency(), help="GATEWAY_CURRENCY where not given.")
    @json_option
    def command(
        email: str, amount: Decimal, reference: str | None, note: str | None, currency: str | None, as_json: bool
    ) -> None:
        async def action(db: "Database", settings: "Settings") -> "Wallet":
            from gateway.ledger import booking, store

            async with db.transaction() as tx:
                wallet_id = await store.open_wallet(tx, await find_user_id(tx, email), currency or settings.currency)
                after, _ = await booking.book(tx, wallet_id, name, amount, reference=reference, note=note)
            return after

        _print_wallet(email, with_database(action), as_json)


_booking("deposit", "Book money in.", "payment")
_booking("withdraw", "Book a pay-out, of what the user can spend at most.", "pay-out")
_booking("fee", "Book a fee, of what the user can spend at most.", "fee")
_booking("refund", "Book a refund that is of no order; for those see `gateway order refund`.", "refund")


@wallet.command()
@click.argument("email", type=Email())
@click.option("--since", type=a_time, required=True, help="From then on, such as 2027-11-01.")
@click.option("--until", type=a_time, help="Up to then; now where not given.")
@click.option("--currency", type=Currency(), help="GATEWAY_CURRENCY where not given.")
@json_option
def statement(email: str, since: datetime, until: datetime | None, currency: str | None, as_json: bool) -> None:
    """Print every movement of a time as CSV, with what there was before and after."""

    async def action(db: "Database", settings: "Settings") -> list[bytes]:
        from gateway.clock import utc_now
        from gateway.ledger.reading.statements import statement as lines

        async with db.transaction() as tx:
            wallet_id = (await _get_wallet(tx, email, currency or settings.currency)).id
        return [part async for part in lines(db, wallet_id, since, until or utc_now())]

    text = b"".join(with_database(action)).decode()
    if as_json:
        print_json(list(csv.DictReader(io.StringIO(text))))
    else:
        click.echo(text, nl=False)


@wallet.command()
@click.argument("email", type=Email())
@click.argument("amount", type=OrNone(Amount()))
@click.option("--currency", type=Currency(), help="GATEWAY_CURRENCY where not given.")
@json_option
def alert(email: str, amount: Any, currency: str | None, as_json: bool) -> None:
    """Set below which amount the user and operators are told; `none` for never."""

    low: Decimal | None = None if amount is NOTHING else amount
    if low is not None and low < 0:
        raise click.BadParameter("an amount to be told below is not below 0")

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.ledger import store
        from gateway.ledger.reading.store import set_low_balance

        async with db.transaction() as tx:
            wallet_id = await store.open_wallet(tx, await find_user_id(tx, email), currency or settings.currency)
            await set_low_balance(tx, wallet_id, low)

    with_database(action)
    if as_json:
        print_json({"email": email.strip().lower(), "low_balance": low})
    else:
        click.echo("told never" if low is None else f"told below {show(low)}")


@wallet.command("show")
@click.argument("email", type=Email())
@click.option("--currency", type=Currency(), help="GATEWAY_CURRENCY where not given.")
@json_option
def show_wallet(email: str, currency: str | None, as_json: bool) -> None:
    """Show a wallet: what is owned, what open orders hold and what can be spent."""

    async def action(db: "Database", settings: "Settings") -> "Wallet":
        async with db.transaction() as tx:
            return await _get_wallet(tx, email, currency or settings.currency)

    _print_wallet(email, with_database(action), as_json)


async def find_user_id(tx: "Transaction", email: str) -> Any:
    """Raises NotFound where no user has the address."""
    from gateway.accounts import store
    from gateway.accounts.users import normal_email

    user_id = await store.find_user_id(tx, normal_email(email))
    if user_id is None:
        raise NotFound(f"user {email}")
    return user_id


async def _get_wallet(tx: "Transaction", email: str, currency: str) -> "Wallet":
    """Raises NotFound where the user has none in the currency: to look at one opens none."""
    from gateway.ledger import store

    for found in (await store.lock_of_owners(tx, [(await find_user_id(tx, email), currency)])).values():
        return found
    raise NotFound(f"a wallet of {email} in {currency}")


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
