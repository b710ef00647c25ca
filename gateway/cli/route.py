"""`gateway route`: where services are bought, and costs that wait for an operator."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import order_number, priority_range
from gateway.cli.service_edit import ROUTES, route_rows, warn
from gateway.cli.surroundings import with_database
from gateway.cli.wallet import Amount

if TYPE_CHECKING:
    from gateway.catalog.editing.services import Shown
    from gateway.catalog.editing.store import Quarantined
    from gateway.db.engine import Database
    from gateway.settings import Settings

_QUARANTINED = {
    "service": "SERVICE",
    "name": "NAME",
    "provider": "PROVIDER",
    "id": "ID THERE",
    "cost": "COST",
    "offered_cost": "OFFERED",
    "change_percent": "CHANGE %",
    "currency": "CURRENCY",
    "since": "SINCE",
    "is_on_sale": "ON SALE",
}


@click.group()
def route() -> None:
    """Say where each service is bought, and accept costs that moved."""


@route.command("list")
@click.argument("service", type=order_number)
@json_option
def list_routes(service: int, as_json: bool) -> None:
    """List a service's routes; costs are in the provider's currency."""

    async def action(db: "Database", settings: "Settings") -> "Shown":
        from gateway.catalog.editing import services

        async with db.snapshot() as connection:
            return await services.show_service(connection, service)

    rows = route_rows(with_database(action))
    if as_json:
        print_json(rows)
    else:
        print_table(ROUTES, rows)


@route.command("add")
@click.argument("service", type=order_number)
@click.argument("provider")
@click.argument("upstream_id")
@click.option("--cost", type=Amount(), required=True, help="Of 1000, or a package, in the provider's currency.")
@click.option("--priority", type=priority_range, default=0, show_default=True, help="The highest is tried first.")
@click.option("--weight", type=order_number, default=1, show_default=True, help="Of its share, by policy weighted.")
@json_option
def add(
    service: int, provider: str, upstream_id: str, cost: Decimal, priority: int, weight: int, as_json: bool
) -> None:
    """Let a service be bought as UPSTREAM_ID of PROVIDER too."""

    async def action(db: "Database", settings: "Settings") -> list[str]:
        from gateway.catalog.editing import routes

        async with db.transaction() as tx:
            return await routes.add_route(
                tx, service, provider, upstream_id, cost=cost, priority=priority, weight=weight
            )

    warn(with_database(action))
    _done(service, provider, upstream_id, f"service {service} is bought as {upstream_id} of {provider} too", as_json)


@route.command("set")
@click.argument("service", type=order_number)
@click.argument("provider")
@click.argument("upstream_id")
@click.option("--priority", type=priority_range, help="The highest is tried first.")
@click.option("--weight", type=order_number, help="Of its share, by policy weighted.")
@click.option("--on/--off", "is_active", default=None, help="Whether it is bought from.")
@json_option
def set_route(
    service: int,
    provider: str,
    upstream_id: str,
    priority: int | None,
    weight: int | None,
    is_active: bool | None,
    as_json: bool,
) -> None:
    """Set a route's priority or weight, or switch it."""
    if priority is None and weight is None and is_active is None:
        raise click.UsageError("give at least one option to set")

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.catalog.editing import routes

        async with db.transaction() as tx:
            await routes.set_route(
                tx, service, provider, upstream_id, priority=priority, weight=weight, is_active=is_active
            )

    with_database(action)
    _done(service, provider, upstream_id, f"the route of service {service} is set", as_json)


@route.command()
@click.option("--provider", metavar="NAME")
@json_option
def quarantine(provider: str | None, as_json: bool) -> None:
    """List the costs that moved by more than the provider's guard; their routes rest."""

    async def action(db: "Database", settings: "Settings") -> "list[Quarantined]":
        from gateway.catalog.editing import routes

        async with db.connection() as connection:
            return await routes.list_quarantined(connection, provider)

    rows = [_quarantined(row) for row in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        print_table(_QUARANTINED, rows)


@route.command()
@click.argument("services", type=order_number, nargs=-1, metavar="[SERVICE]…")
@click.option("--provider", metavar="NAME", help="All that wait at this provider.")
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@json_option
def accept(services: tuple[int, ...], provider: str | None, everything: bool, as_json: bool) -> None:
    """Buy at the costs that wait; prices follow at once."""
    if bool(services) + (provider is not None) + everything != 1:
        raise click.UsageError("give services, --provider NAME or --all")

    async def action(db: "Database", settings: "Settings") -> "list[Quarantined]":
        from gateway.catalog.editing import routes

        async with db.transaction() as tx:
            return await routes.accept_costs(tx, numbers=services or None, provider=provider)

    accepted = with_database(action)
    if as_json:
        print_json([_quarantined(row) for row in accepted])
    else:
        click.echo(f"{len(accepted)} costs accepted")


@route.command()
@click.argument("service", type=order_number)
@click.argument("provider", required=False)
@json_option
def resume(service: int, provider: str | None, as_json: bool) -> None:
    """End the pauses of a service's routes; a pause of the provider itself stays."""

    async def action(db: "Database", settings: "Settings") -> int:
        from gateway.catalog.editing import routes

        async with db.transaction() as tx:
            return await routes.resume_routes(tx, service, provider)

    resumed = with_database(action)
    if as_json:
        print_json({"service": service, "resumed": resumed})
    else:
        click.echo(f"{resumed} routes take orders again")


def _done(service: int, provider: str, upstream_id: str, words: str, as_json: bool) -> None:
    if as_json:
        print_json({"service": service, "provider": provider, "id": upstream_id})
    else:
        click.echo(words)


def _quarantined(row: "Quarantined") -> dict[str, Any]:
    from gateway.catalog.prices.model import change_percent

    change = change_percent(row.cost, row.offered_cost)
    return {
        "service": row.service,
        "name": row.name,
        "provider": row.provider,
        "id": row.provider_service_id,
        "cost": row.cost,
        "offered_cost": row.offered_cost,
        "change_percent": None if change is None else round(change, 2),
        "currency": row.currency,
        "since": row.since,
        "is_on_sale": row.is_on_sale,
    }
