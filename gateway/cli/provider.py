"""`gateway provider`: the upstream panels that orders are bought from."""

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import rich_click as click

from gateway.cli import provider_money, provider_set, provider_unknown
from gateway.cli.amounts import Percentage
from gateway.cli.output import json_option, print_fields, print_json, print_table
from gateway.cli.parameters import Currency, priority_range
from gateway.cli.surroundings import keyring_of, read_secret, with_database
from gateway.cli.wallet import Amount

if TYPE_CHECKING:
    from gateway.catalog.sync.syncing import SyncResult
    from gateway.db.engine import Database
    from gateway.providers.store import SealedProvider
    from gateway.settings import Settings

_COLUMNS = {
    "name": "NAME",
    "url": "URL",
    "currency": "CURRENCY",
    "markup_percent": "MARKUP %",
    "priority": "PRIORITY",
    "dialect": "DIALECT",
    "is_active": "ACTIVE",
    "paused_until": "PAUSED UNTIL",
}


_DIFFERENCE = {
    "change": "CHANGE",
    "id": "ID THERE",
    "service": "SERVICE",
    "name": "NAME",
    "before": "BEFORE",
    "after": "AFTER",
}


@click.group()
def provider() -> None:
    """Add upstream panels and take over their catalogues."""


@provider.command()
@click.argument("name")
@click.argument("url")
@click.option("--key-stdin", is_flag=True, required=True, help="Read our key there from stdin; it is stored sealed.")
@click.option("--markup", type=Percentage(), default="0%", show_default=True, help="Added to its prices.")
@click.option("--currency", type=Currency(), help="Of its prices and our balance; GATEWAY_CURRENCY where not given.")
@click.option("--exchange-rate", type=Amount(), help="What one unit of its currency is in GATEWAY_CURRENCY.")
@click.option("--priority", type=priority_range, default=0, show_default=True, help="The highest is tried first.")
@click.option("--dialect", default="standard", show_default=True, help="How it wants to be asked; see `gateway probe`.")
@json_option
def add(
    name: str,
    url: str,
    key_stdin: bool,
    markup: Decimal,
    currency: str | None,
    exchange_rate: Decimal | None,
    priority: int,
    dialect: str,
    as_json: bool,
) -> None:
    """Add a provider; its services come with `gateway provider sync`, its other terms with `gateway provider set`."""
    api_key = read_secret("key")

    async def action(db: "Database", settings: "Settings") -> UUID:
        from gateway.providers.actions import add_provider
        from gateway.providers.model import rate_at

        keyring = keyring_of(settings)
        theirs = currency or settings.currency
        rate = rate_at(theirs, settings.currency, exchange_rate)
        async with db.transaction() as tx:
            return await add_provider(
                *(tx, keyring, name, url, api_key, markup, priority),
                currency=theirs,
                dialect=dialect,
                exchange_rate=rate,
            )

    provider_id = with_database(action)
    if as_json:
        print_json({"id": provider_id, "name": name.strip(), "url": url.strip()})
    else:
        click.echo(provider_id)


@provider.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--hold-new", is_flag=True, help="Keep new services off sale.")
@click.option("--accept-shrunk", is_flag=True, help="Take a list with less than half of what was listed before.")
@json_option
def sync(name: str, dry_run: bool, hold_new: bool, accept_shrunk: bool, as_json: bool) -> None:
    """Take over what the provider lists: new services, changed ones, and those that are gone."""

    async def action(db: "Database", settings: "Settings") -> "SyncResult":
        return await sync_by_name(db, settings, name, dry_run=dry_run, hold_new=hold_new, accept_shrunk=accept_shrunk)

    result = with_database(action)
    counts = {
        "new": result.new,
        "changed": result.changed,
        "vanished": result.vanished,
        "quarantined": result.quarantined,
        "skipped": result.skipped,
    }
    lines = [
        {"change": line.change, "id": line.upstream_id, "service": line.number, "name": line.name,
         "before": line.before, "after": line.after}
        for line in result.lines
    ]  # fmt: skip
    if as_json:
        print_json({"provider": name, "dry_run": dry_run, **counts} | ({"changes": lines} if dry_run else {}))
        return
    if dry_run and lines:
        print_table(_DIFFERENCE, lines)
        click.echo()
    print_fields(counts)


async def sync_by_name(
    db: "Database",
    settings: "Settings",
    name: str,
    *,
    dry_run: bool = False,
    hold_new: bool = False,
    accept_shrunk: bool = False,
) -> "SyncResult":
    """Raises as `sync_provider`, and NotFound where no provider has this name."""
    from gateway.catalog.sync.syncing import sync_provider
    from gateway.egress import open_session
    from gateway.providers.actions import get_provider
    from gateway.providers.upstream import Upstreams

    keyring = keyring_of(settings)
    async with db.connection() as connection:
        provider_id = (await get_provider(connection, keyring, name)).id
    async with open_session(allow_private=settings.allow_private_addresses, limit=4) as session:
        upstreams = Upstreams(db, keyring, session, settings)
        await upstreams.refresh()
        return await sync_provider(
            db, upstreams, provider_id, dry_run=dry_run, hold_new=hold_new, accept_shrunk=accept_shrunk
        )


@provider.command("list")
@json_option
def list_providers(as_json: bool) -> None:
    """List the providers, the highest priority first; never their keys."""

    async def action(db: "Database", settings: "Settings") -> "list[SealedProvider]":
        from gateway.providers import store

        async with db.connection() as connection:
            return await store.list_all(connection)

    rows = [
        {
            "id": row.id,
            "name": row.name,
            "url": row.api_endpoint,
            "currency": row.currency,
            "markup_percent": row.markup_percent,
            "priority": row.priority,
            "dialect": row.dialect,
            "is_active": row.is_active,
            "paused_until": row.paused_until,
        }
        for row in with_database(action)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, rows)


for _command in (
    provider_set.set_provider,
    provider_set.show_provider,
    provider_set.pause,
    provider_unknown.probes,
    provider_unknown.teach,
    provider_unknown.words,
    provider_unknown.resume,
    provider_money.money,
    provider_money.deposit,
    provider_money.days,
    provider_money.charges,
):
    provider.add_command(_command)
