"""`gateway service quality`: how services and their routes were delivered."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import order_number
from gateway.cli.surroundings import with_database

if TYPE_CHECKING:
    from gateway.catalog.quality.model import Summary
    from gateway.catalog.quality.reading import ServiceQuality
    from gateway.db.engine import Database
    from gateway.settings import Settings

_COLUMNS = {
    "number": "NUMBER",
    "name": "NAME",
    "route": "ROUTE",
    "orders": "ORDERS",
    "completed": "COMPLETED",
    "partial": "PARTIAL",
    "cancelled": "CANCELLED",
    "refills": "REFILLS",
    "start_median": "START MEDIAN",
    "start_p90": "START P90",
    "finish_median": "FINISH MEDIAN",
    "finish_p90": "FINISH P90",
}


@click.command()
@click.argument("number", type=order_number, required=False)
@click.option("--days", type=click.Choice(["7", "30"]), default="30", show_default=True, help="UTC days, with today.")
@json_option
def quality(number: int | None, days: str, as_json: bool) -> None:
    """Show how the orders of services and their routes ended, and how long they took.

    Nothing is said of a service or a route with fewer than ten orders.
    """
    import msgspec

    from gateway.errors import NotFound

    async def action(db: "Database", settings: "Settings") -> "list[ServiceQuality]":
        from gateway.catalog.quality.reading import quality_of

        async with db.connection() as connection:
            return await quality_of(connection, int(days), number)

    services = with_database(action)
    if number is not None and not services:
        raise NotFound(f"service {number} with a route")
    if as_json:
        print_json([{**msgspec.to_builtins(service), "days": int(days)} for service in services])
    else:
        print_table(_COLUMNS, [row for service in services for row in _rows(service, everything=number is not None)])


def _rows(service: "ServiceQuality", *, everything: bool) -> list[dict[str, Any]]:
    """A line for the service and one for each route; those of which nothing is said only where `everything` is."""
    named = {"number": service.number, "name": service.name}
    lines = [(named | {"route": ""}, service.summary)]
    lines += [
        ({"number": "", "name": "", "route": f"{route.provider} {route.provider_service_id}"}, route.summary)
        for route in service.routes
    ]
    return [names | _told(summary) for names, summary in lines if everything or summary is not None]


def _told(summary: "Summary | None") -> dict[str, Any]:
    if summary is None:
        return dict.fromkeys(list(_COLUMNS)[3:], "") | {"orders": "under 10"}
    return {
        "orders": summary.orders,
        "completed": f"{summary.completed_share:.1%}",
        "partial": f"{summary.partial_share:.1%}",
        "cancelled": f"{summary.cancelled_share:.1%}",
        "refills": summary.refills,
        "start_median": _duration(summary.start_median_s),
        "start_p90": _duration(summary.start_p90_s),
        "finish_median": _duration(summary.finish_median_s),
        "finish_p90": _duration(summary.finish_p90_s),
    }


def _duration(seconds: float | None) -> str:
    from gateway.catalog.quality.model import in_words

    return "" if seconds is None else f"{seconds:.0f} seconds" if seconds < 60 else in_words(seconds)
