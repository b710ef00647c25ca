"""`gateway service`: one service with its routes, and what an operator sets of it."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.amounts import given
from gateway.cli.output import json_option, print_fields, print_json, print_table
from gateway.cli.parameters import order_number
from gateway.cli.surroundings import with_database
from gateway.cli.wallet import Amount

if TYPE_CHECKING:
    from gateway.catalog.editing.services import Shown
    from gateway.catalog.editing.store import RouteTerms
    from gateway.catalog.model import Route
    from gateway.db.engine import Database
    from gateway.settings import Settings

_SHORT = {"min_quantity": "min", "max_quantity": "max"}
_LONG = {short: name for name, short in _SHORT.items()}
ROUTES = {
    "provider": "PROVIDER",
    "id": "ID THERE",
    "cost": "COST",
    "currency": "CURRENCY",
    "margin_percent": "MARGIN %",
    "priority": "PRIORITY",
    "weight": "WEIGHT",
    "min": "MIN",
    "max": "MAX",
    "is_source": "SOURCE",
    "state": "STATE",
}


@click.command("set")
@click.argument("number", type=order_number)
@click.option("--name")
@click.option("--description", help="An empty one takes it away.")
@click.option("--category", help="Markups of the category hold at once.")
@click.option("--platform")
@click.option("--type", "type_", help="What is counted: likes, views, followers.")
@click.option("--min", "min_quantity", type=order_number)
@click.option("--max", "max_quantity", type=order_number)
@click.option("--price", type=Amount(), help="Of 1000, or of one package.")
@click.option("--policy", type=click.Choice(["priority", "cheapest", "weighted"]), help="Which route goes first.")
@click.option("--on/--off", "is_offered", default=None, help="Whether it is offered.")
@click.option(
    "--follow",
    multiple=True,
    type=click.Choice(["name", "description", "category", "min", "max", "price"]),
    help="Let the provider say it again; may be given several times.",
)
@json_option
def set_service(number: int, type_: str | None, follow: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Set fields of a service by hand; syncs leave them so until they are to follow the provider again."""
    changes = given(**options, type=type_)
    if changes.get("description") == "":
        changes["description"] = None
    if not changes and not follow:
        raise click.UsageError("give at least one option to set")

    async def action(db: "Database", settings: "Settings") -> "tuple[list[str], Shown]":
        from gateway.catalog.editing import services
        from gateway.catalog.editing.model import ServiceEdit

        edit = ServiceEdit(**changes, follow=frozenset(_LONG.get(name, name) for name in follow))
        async with db.transaction() as tx:
            said = await services.set_service(tx, number, edit)
            return said, await services.show_service(tx, number)

    said, shown = with_database(action)
    warn(said)
    if as_json:
        print_json(_fields(shown))
    else:
        click.echo(f"service {number} is set")


@click.command("show")
@click.argument("number", type=order_number)
@json_option
def show_service(number: int, as_json: bool) -> None:
    """Show a service, what of it was set by hand, and its routes."""

    async def action(db: "Database", settings: "Settings") -> "Shown":
        from gateway.catalog.editing import services

        async with db.snapshot() as connection:
            return await services.show_service(connection, number)

    fields = _fields(with_database(action))
    if as_json:
        print_json(fields)
        return
    routes = fields.pop("routes")
    print_fields(fields | {"hand_set": ", ".join(fields["hand_set"])})
    click.echo(f"\nroutes: {'' if routes else 'none'}".rstrip())
    if routes:
        print_table(ROUTES, routes)


def warn(said: list[str]) -> None:
    """What is done all the same, on stderr."""
    for line in said:
        click.echo(f"gateway: note: {line}", err=True)


def _fields(shown: "Shown") -> dict[str, Any]:
    import msgspec

    values = {_SHORT.get(name, name): value for name, value in msgspec.structs.asdict(shown.service).items()}
    values |= {"hand_set": [_SHORT.get(name, name) for name in shown.service.hand_set]}
    return values | {"custom_prices": shown.custom_prices, "routes": route_rows(shown)}


def route_rows(shown: "Shown") -> list[dict[str, Any]]:
    return [_route_row(shown.service.price, route, extra) for route, extra in shown.routes]


def _route_row(price: Decimal, route: "Route", extra: "RouteTerms") -> dict[str, Any]:
    from gateway.catalog.editing.services import margin_of

    return {
        "provider": route.provider_name,
        "id": route.provider_service_id,
        "cost": route.cost_per_1000,
        "offered_cost": extra.offered_cost,
        "currency": extra.currency,
        "margin_percent": margin_of(price, route),
        "priority": route.priority,
        "weight": route.weight,
        "min": route.min_quantity,
        "max": route.max_quantity,
        "is_active": extra.is_active,
        "is_source": extra.is_source,
        "state": _state_of(route),
    }


def _state_of(route: "Route") -> str:
    if route.off is not None:
        return route.off
    if route.paused_until is not None:
        return f"rests until {route.paused_until:%Y-%m-%d %H:%M:%S} UTC: {route.paused_reason or 'no reason given'}"
    return "ready"
