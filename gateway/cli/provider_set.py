"""`gateway provider`: its terms, by which prices are made and orders are sent, and its pauses."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.amounts import Duration, OrNone, Percentage, given
from gateway.cli.output import json_option, print_fields, print_json
from gateway.cli.parameters import order_number, priority_range
from gateway.cli.surroundings import keyring_of, read_secret, with_database
from gateway.cli.wallet import Amount

if TYPE_CHECKING:
    from gateway.catalog.editing.lists.store import ProviderStanding
    from gateway.catalog.editing.model import ProviderTerms
    from gateway.db.engine import Database
    from gateway.settings import Settings

_NAMES = {
    "api_endpoint": "url",
    "margin_floor_percent": "floor_percent",
    "price_guard_percent": "guard_percent",
    "max_in_flight": "in_flight",
}


@click.command("set")
@click.argument("name")
@click.option("--markup", "markup_percent", type=Percentage(), help="Added to its prices.")
@click.option("--markup-fixed", type=Amount(), help="Added after that, per 1000 or package, in GATEWAY_CURRENCY.")
@click.option("--price-step", type=OrNone(Amount()), help="Prices are rounded up to a multiple of it.")
@click.option("--floor", "margin_floor_percent", type=OrNone(Percentage()), help="Below this margin nothing is sold.")
@click.option("--guard", "price_guard_percent", type=Percentage(), help="A cost that moves by more waits for you.")
@click.option("--exchange-rate", type=Amount(), help="What one unit of its currency is in GATEWAY_CURRENCY.")
@click.option("--sends-per-second", type=OrNone(Amount()), help="Orders it takes, over all workers.")
@click.option("--in-flight", "max_in_flight", type=OrNone(order_number), help="Sends at once from one worker.")
@click.option("--priority", type=priority_range, help="The highest is tried first.")
@click.option("--low-balance", type=OrNone(Amount()), help="Alert below it, in its currency.")
@click.option("--hold-new/--sell-new", default=None, help="Whether new services are kept off sale.")
@click.option("--on/--off", "is_active", default=None, help="Whether it gets new orders.")
@click.option("--url", "api_endpoint", help="Another address of its panel.")
@click.option("--dialect", help="How it wants to be asked; see `gateway probe`.")
@click.option("--key-stdin", is_flag=True, help="Read another key of ours there from stdin.")
@json_option
def set_provider(name: str, key_stdin: bool, as_json: bool, **options: Any) -> None:
    """Set terms of a provider; prices and what is on sale follow at once."""
    changes = given(**options)
    if not changes and not key_stdin:
        raise click.UsageError("give at least one option to set")
    api_key = read_secret("key") if key_stdin else None

    async def action(db: "Database", settings: "Settings") -> "ProviderTerms":
        from gateway.catalog.editing import providers
        from gateway.catalog.editing.model import ProviderEdit
        from gateway.catalog.editing.routes import find_provider
        from gateway.providers.actions import set_api_key

        async with db.transaction() as tx:
            provider_id = (await find_provider(tx, name)).id
            terms = await providers.set_provider(tx, provider_id, ProviderEdit(**changes))
            if api_key is not None:
                await set_api_key(tx, keyring_of(settings), provider_id, api_key)
        return terms

    terms = with_database(action)
    if as_json:
        print_json(_fields(terms))
    else:
        click.echo(f"provider {terms.name} is set")


@click.command("show")
@click.argument("name")
@json_option
def show_provider(name: str, as_json: bool) -> None:
    """Show a provider's terms, its last sync and our balance there; never the key."""

    async def action(db: "Database", settings: "Settings") -> "tuple[ProviderTerms, ProviderStanding]":
        from gateway.catalog.editing import store
        from gateway.catalog.editing.lists.store import get_standing
        from gateway.catalog.editing.routes import find_provider

        async with db.snapshot() as connection:
            provider_id = (await find_provider(connection, name)).id
            return await store.get_provider(connection, provider_id), await get_standing(connection, provider_id)

    import msgspec

    terms, standing = with_database(action)
    values = _fields(terms) | msgspec.structs.asdict(standing)
    (print_json if as_json else print_fields)(values)


@click.command()
@click.argument("name")
@click.option("--for", "seconds", type=Duration(), required=True, help="How long: 30m, 1h, 2d.")
@click.option("--reason", default="paused by an operator", help="Shown where orders wait for it.")
@json_option
def pause(name: str, seconds: int, reason: str, as_json: bool) -> None:
    """Send a provider no orders for a time; a longer pause under way stays."""

    async def action(db: "Database", settings: "Settings") -> "ProviderStanding":
        from gateway.catalog.editing.lists.store import get_standing
        from gateway.catalog.editing.routes import find_provider
        from gateway.providers import actions

        async with db.transaction() as tx:
            provider_id = (await find_provider(tx, name)).id
            await actions.pause(tx, provider_id, reason, seconds)
            return await get_standing(tx, provider_id)

    standing = with_database(action)
    if as_json:
        print_json({"name": name, "paused_until": standing.paused_until, "paused_reason": standing.paused_reason})
    else:
        click.echo(f"provider {name} rests until {standing.paused_until:%Y-%m-%d %H:%M:%S} UTC")


def _fields(terms: "ProviderTerms") -> dict[str, Any]:
    import msgspec

    return {_NAMES.get(name, name): value for name, value in msgspec.structs.asdict(terms).items()}
