"""`gateway tier`: how many requests a minute the keys of each tier may make."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.amounts import NOTHING, OrNone
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import order_number
from gateway.cli.surroundings import with_database

if TYPE_CHECKING:
    from gateway.accounts.model import Tier
    from gateway.db.engine import Database
    from gateway.settings import Settings

_COLUMNS = {"name": "NAME", "requests_per_minute": "REQUESTS A MINUTE", "from": "FROM", "keys": "KEYS"}


@click.group()
def tier() -> None:
    """List, set and remove tiers of keys."""


@tier.command("list")
@json_option
def list_tiers(as_json: bool) -> None:
    """List the tiers with their limits, where each limit is from, and how many keys in force have them."""

    async def action(db: "Database", settings: "Settings") -> "tuple[list[Tier], Settings]":
        from gateway.accounts import tiers

        async with db.connection() as connection:
            return await tiers.list_tiers(connection), settings

    found, settings = with_database(action)
    rows = [_row(each, settings) for each in found]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, rows)


def _row(tier: "Tier", settings: "Settings") -> dict[str, Any]:
    row = {"name": tier.name, "requests_per_minute": tier.requests_per_minute, "from": "database", "keys": tier.keys}
    if tier.requests_per_minute is None:
        row |= {"requests_per_minute": getattr(settings, f"rate_{tier.name}"), "from": "settings"}
    return row


@tier.command("set")
@click.argument("name")
@click.option(
    "--requests-per-minute",
    type=OrNone(order_number),
    required=True,
    help="For each key; none gives basic, pro and enterprise back to their settings.",
)
@json_option
def set_tier(name: str, requests_per_minute: Any, as_json: bool) -> None:
    """Add a tier or set its limit, in every process within a second."""
    limit = None if requests_per_minute is NOTHING else requests_per_minute

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.accounts import tiers

        async with db.transaction() as tx:
            await tiers.set_tier(tx, name, limit)

    with_database(action)
    if as_json:
        print_json({"name": name, "requests_per_minute": limit})
    else:
        click.echo(f"tier {name}: {limit or 'as its setting says'}")


@tier.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove a tier that no key has."""

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.accounts import tiers

        async with db.transaction() as tx:
            await tiers.remove_tier(tx, name)

    with_database(action)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        click.echo(f"tier {name} is removed")
