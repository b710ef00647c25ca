"""`gateway alerts`: what an operator should look at, and whether the ways of being told work."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.surroundings import read_settings, with_database

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.settings import Settings

COLUMNS = {
    "id": "ID",
    "severity": "SEVERITY",
    "kind": "KIND",
    "subject": "SUBJECT",
    "since": "SINCE",
    "last": "LAST",
    "count": "COUNT",
    "told": "TOLD",
    "message": "MESSAGE",
}


@click.group(invoke_without_command=True)
@click.option("--all", "with_cleared", is_flag=True, help="With those that are over.")
@json_option
@click.pass_context
def alerts(context: click.Context, with_cleared: bool, as_json: bool) -> None:
    """Show the alerts that are open, the newest first; clear one by hand; test how they are told."""
    if context.invoked_subcommand is not None:
        return

    async def action(db: "Database", settings: "Settings") -> list[dict[str, Any]]:
        from gateway.alerts import store

        async with db.connection() as connection:
            rows = await store.list_newest(connection, with_cleared=with_cleared)
        return [_fields(row) for row in rows]

    rows = with_database(action)
    if as_json:
        print_json(rows)
    elif rows:
        print_table(COLUMNS | ({"cleared": "CLEARED"} if with_cleared else {}), rows)
    else:
        click.echo("no alerts" if with_cleared else "no open alerts")


def _fields(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "kind": row.kind,
        "severity": row.severity,
        "subject": row.subject,
        "message": row.message,
        "details": row.details,
        "since": row.raised_at,
        "last": row.last_at,
        "count": row.count,
        "told": row.told,
        "cleared": row.cleared_at,
    }


@alerts.command()
@click.argument("alert_id", metavar="ID", required=False, type=click.UUID)
@click.option("--kind", help="All that are open of this kind.")
@json_option
def clear(alert_id: Any, kind: str | None, as_json: bool) -> None:
    """Clear an open alert by its id, or all of a kind. What the worker itself sees to hold comes back in seconds."""
    if (alert_id is None) == (kind is None):
        raise click.UsageError("give an ID or --kind KIND")

    async def action(db: "Database", settings: "Settings") -> int:
        from gateway.alerts import store
        from gateway.errors import NotFound

        async with db.transaction() as tx:
            cleared = await store.clear_by_hand(tx, alert_id=alert_id, kind=kind)
        if not cleared:
            raise NotFound(f"open alert {alert_id or kind}")
        return cleared

    cleared = with_database(action)
    if as_json:
        print_json({"cleared": cleared})
    else:
        click.echo(f"{cleared} cleared")


@alerts.command()
@json_option
def test(as_json: bool) -> None:
    """Send a test message through each channel of the settings and say what came back."""
    import asyncio

    from gateway.alerts.delivery.channels import channels_of
    from gateway.errors import ConfigurationError

    channels = channels_of(read_settings())
    if not channels:
        raise ConfigurationError(["no channel is set up: see GATEWAY_ALERT_EMAIL_TO and GATEWAY_ALERT_WEBHOOK_URL"])
    results = asyncio.run(_try_each(channels))
    if as_json:
        print_json(results)
    else:
        for result in results:
            click.echo(f"{result['channel']}: {'ok' if result['ok'] else 'failed'}: {result['said']}")
    if not all(result["ok"] for result in results):
        raise click.ClickException("a channel did not take the test")


async def _try_each(channels: Any) -> list[dict[str, Any]]:
    from gateway.alerts.delivery.channels import DeliveryFailed
    from gateway.alerts.delivery.digest import TEST

    results = []
    for channel in channels:
        try:
            said, ok = await channel.send(TEST), True
        except DeliveryFailed as error:
            said, ok = str(error), False
        results.append({"channel": channel.name, "ok": ok, "said": said})
    return results
