"""`gateway service`: what is sold."""

from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli import service_edit
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.service_quality import quality
from gateway.cli.surroundings import with_database

if TYPE_CHECKING:
    from gateway.catalog.model import Service
    from gateway.db.engine import Database
    from gateway.settings import Settings

_COLUMNS = {
    "number": "NUMBER",
    "name": "NAME",
    "category": "CATEGORY",
    "type": "TYPE",
    "rate": "RATE",
    "currency": "CURRENCY",
    "min": "MIN",
    "max": "MAX",
    "is_active": "ON SALE",
}


@click.group()
def service() -> None:
    """Show the catalogue, and set what is sold."""


@service.command("list")
@json_option
def list_services(as_json: bool) -> None:
    """List all services by number, those that are off sale too."""

    async def action(db: "Database", settings: "Settings") -> "list[Service]":
        from gateway.catalog import store

        async with db.connection() as connection:
            return await store.list_services(connection)

    rows = [
        {
            "number": row.number,
            "name": row.name,
            "category": row.category,
            "type": row.kind_name,
            "rate": row.rate,
            "currency": row.currency,
            "min": row.min_quantity,
            "max": row.max_quantity,
            "refill": row.refill,
            "cancel": row.cancel,
            "dripfeed": row.dripfeed,
            "is_active": row.is_active,
        }
        for row in with_database(action)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, rows)


for _command in (service_edit.set_service, service_edit.show_service, quality):
    service.add_command(_command)
