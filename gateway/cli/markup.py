"""`gateway markup`: what is added to costs, by category or service rather than by provider."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.amounts import Percentage
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import order_number
from gateway.cli.surroundings import with_database
from gateway.cli.wallet import Amount

if TYPE_CHECKING:
    from gateway.catalog.prices.store import ListedMarkup
    from gateway.db.engine import Database
    from gateway.settings import Settings

_COLUMNS = {
    "provider": "PROVIDER",
    "category": "CATEGORY",
    "service": "SERVICE",
    "percent": "MARKUP %",
    "fixed": "FIXED",
}


def _of_what(command: Any) -> Any:
    for option in (
        click.option("--service", metavar="NUMBER", type=order_number),
        click.option("--provider", metavar="NAME", help="At this provider alone."),
        click.option("--category"),
    ):
        command = option(command)
    return command


@click.group()
def markup() -> None:
    """Set markups of categories and services; that of a provider is `gateway provider set --markup`."""


@markup.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("percent", type=Percentage())
@click.option("--fixed", type=Amount(), default="0", help="Added after that, per 1000 or package.")
@_of_what
@json_option
def set_markup(
    percent: Decimal, fixed: Decimal, category: str | None, provider: str | None, service: int | None, as_json: bool
) -> None:
    """Set the markup of a category, or of a service, which goes before it; prices follow at once."""
    _check(category, provider, service)

    async def action(db: "Database", settings: "Settings") -> int:
        from gateway.catalog.editing import prices
        from gateway.catalog.prices.model import Markup

        async with db.transaction() as tx:
            return await prices.set_markup(
                tx, Markup(percent, fixed), category=category, provider=provider, service=service
            )

    _print_changed(with_database(action), as_json)


@markup.command("list")
@json_option
def list_markups(as_json: bool) -> None:
    """List all markups, those of the providers too."""
    import msgspec

    async def action(db: "Database", settings: "Settings") -> "list[ListedMarkup]":
        from gateway.catalog.prices import store

        async with db.connection() as connection:
            return await store.list_markups(connection)

    rows = [msgspec.structs.asdict(row) for row in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, rows)


@markup.command()
@_of_what
@json_option
def drop(category: str | None, provider: str | None, service: int | None, as_json: bool) -> None:
    """Take a markup away; the next more general one holds at once."""
    _check(category, provider, service)

    async def action(db: "Database", settings: "Settings") -> int:
        from gateway.catalog.editing import prices

        async with db.transaction() as tx:
            return await prices.drop_markup(tx, category=category, provider=provider, service=service)

    _print_changed(with_database(action), as_json)


def _check(category: str | None, provider: str | None, service: int | None) -> None:
    if (category is None) == (service is None) or (service is not None and provider is not None):
        raise click.UsageError("give --category C, with --provider NAME or without, or --service NUMBER")


def _print_changed(changed: int, as_json: bool) -> None:
    if as_json:
        print_json({"changed": changed})
    else:
        click.echo(f"{changed} services have another price or sale")
