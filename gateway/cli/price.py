"""`gateway price`: the prices of single users."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from gateway.cli.amounts import Percentage
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import Email, order_number
from gateway.cli.service_edit import warn
from gateway.cli.surroundings import with_database
from gateway.cli.wallet import Amount
from gateway.errors import NotFound

if TYPE_CHECKING:
    from gateway.catalog.prices.store import ListedPrice
    from gateway.db.engine import Database, Transaction
    from gateway.settings import Settings

_COLUMNS = {
    "email": "EMAIL",
    "service": "SERVICE",
    "price": "PRICE",
    "percent": "PERCENT",
    "price_for_all": "PRICE FOR ALL",
}


class PriceOrChange(click.ParamType[tuple[Decimal | None, Decimal | None]]):
    """A price, or with a sign and `%` what is added to the price for all: `(price, percent)`."""

    name = "price"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        if not text.endswith("%"):
            return Amount().convert(text, param, ctx), None
        if not re.match(r"[+-]", text):
            self.fail(f"{value!r} has no sign: give +{text} or -{text}", param, ctx)
        return None, Percentage().convert(text, param, ctx)


@click.group()
def price() -> None:
    """Set prices of single users."""


@price.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("email", type=Email())
@click.argument("price_or_change", metavar="PRICE|+N%|-N%", type=PriceOrChange())
@click.option("--service", metavar="NUMBER", type=order_number, help="Without it, on all that have none of their own.")
@json_option
def set_price(
    email: str, price_or_change: tuple[Decimal | None, Decimal | None], service: int | None, as_json: bool
) -> None:
    """Set what a user pays: a price, or a percentage on the price for all. Orders keep what they were placed at."""
    amount, percent = price_or_change
    if amount is not None and service is None:
        raise click.UsageError("a price is of one service: give --service NUMBER, or a percentage with its sign")

    async def action(db: "Database", settings: "Settings") -> list[str]:
        from gateway.catalog.editing import prices
        from gateway.catalog.prices.model import CustomPrice

        async with db.transaction() as tx:
            user_id = await _user_id(tx, email)
            return await prices.set_custom_price(tx, user_id, CustomPrice(amount, percent), service)

    warn(with_database(action))
    if as_json:
        print_json({"email": email.lower(), "service": service, "price": amount, "percent": percent})
    else:
        click.echo(f"{email} has a price of its own for {_what(service)}")


@price.command("list")
@click.argument("email", type=Email(), required=False)
@json_option
def list_prices(email: str | None, as_json: bool) -> None:
    """List the prices of a user, or of all."""
    import msgspec

    async def action(db: "Database", settings: "Settings") -> "list[ListedPrice]":
        from gateway.catalog.prices import store

        async with db.connection() as connection:
            user_id = await _user_id(connection, email) if email is not None else None
            return await store.list_custom_prices(connection, user_id)

    rows = [msgspec.structs.asdict(row) for row in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, rows)


@price.command()
@click.argument("email", type=Email())
@click.option("--service", metavar="NUMBER", type=order_number, help="Without it, the percentage on all.")
@json_option
def drop(email: str, service: int | None, as_json: bool) -> None:
    """Take a user's price away."""

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.catalog.editing import prices

        async with db.transaction() as tx:
            await prices.drop_custom_price(tx, await _user_id(tx, email), service)

    with_database(action)
    if as_json:
        print_json({"email": email.lower(), "service": service})
    else:
        click.echo(f"{email} has no price of its own for {_what(service)} any more")


def _what(service: int | None) -> str:
    return f"service {service}" if service is not None else "all services"


async def _user_id(tx: "Transaction", email: str) -> UUID:
    from gateway.accounts import store
    from gateway.accounts.users import normal_email

    user_id = await store.find_user_id(tx, normal_email(email))
    if user_id is None:
        raise NotFound(f"user {email}")
    return user_id
