"""`gateway margin`: what is earned, by service, provider or day."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import a_day
from gateway.cli.surroundings import with_database

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.orders.margin.model import Margin
    from gateway.settings import Settings

_DAYS = 30
_COLUMNS = (
    "of", "name", "currency", "orders", "turnover", "cost", "margin", "margin_percent", "cost_unknown", "losses",
)  # fmt: skip


@click.command()
@click.option("--by", type=click.Choice(["service", "provider", "day"]), help="A row each; else one row in all.")
@click.option("--since", type=a_day, help=f"The first day (UTC) of the orders' ends; {_DAYS} days back otherwise.")
@click.option("--until", type=a_day, help="The last day; today otherwise.")
@json_option
def margin(by: str | None, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Show turnover, cost and margin of the orders that ended; what was lost to written-off orders stands apart."""

    async def action(db: "Database", settings: "Settings") -> "list[Margin]":
        from gateway.orders.margin import store
        from gateway.orders.margin.model import ROWS_MAX, By, check_days

        last = (until or datetime.now(UTC)).date()
        first = since.date() if since else last - timedelta(days=_DAYS)
        check_days(first, last)
        async with db.connection() as connection:
            return await store.report(connection, By(by) if by else None, first, last, ROWS_MAX)

    rows = [{column: getattr(row, column) for column in _COLUMNS} for row in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        shown = [column for column in _COLUMNS if any(row[column] is not None for row in rows)]
        print_table({column: column.upper().replace("_PERCENT", " %") for column in shown}, rows)
