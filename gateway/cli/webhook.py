"""`gateway webhook`: where users have their events sent."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from gateway.cli.amounts import Duration
from gateway.cli.output import json_option, print_fields, print_json, print_table
from gateway.cli.parameters import Email, a_time
from gateway.cli.surroundings import keyring_of, with_database
from gateway.cli.wallet import find_user_id

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.db.engine import Database
    from gateway.settings import Settings
    from gateway.webhooks.deliveries.reading.store import Attempt, Delivery, Statistics
    from gateway.webhooks.model import Endpoint, Message

_COLUMNS = {
    "id": "ID", "url": "URL", "events": "EVENTS", "is_active": "ACTIVE", "disabled_reason": "WHY OFF",
    "failing_since": "FAILING SINCE", "last_triggered_at": "LAST",
}  # fmt: skip
_DELIVERIES = {
    "id": "ID", "event_type": "EVENT", "state": "STATE", "attempts": "ATTEMPTS", "last_status": "STATUS",
    "last_error": "ERROR", "created_at": "AT", "next_attempt_at": "NEXT",
}  # fmt: skip
_CALLS = {"number": "CALL", "at": "AT", "status": "STATUS", "error": "ERROR", "duration_ms": "MS", "response": "ANSWER"}


@click.group()
def webhook() -> None:
    """Show and change webhooks of users, and send again what they did not take."""


@webhook.command()
@click.argument("email", type=Email())
@click.argument("url")
@click.option("--event", "wanted", multiple=True, required=True, help="A type of event, or `order.*`, or `*`.")
@json_option
def add(email: str, url: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """Have a user's events sent to URL; the secret that signs them is alone on stdout, once."""

    async def action(db: "Database", settings: "Settings") -> tuple[UUID, str]:
        from gateway.webhooks import endpoints

        keyring = keyring_of(settings)
        async with db.transaction() as tx:
            endpoint, secret = await endpoints.create(
                tx, keyring, await find_user_id(tx, email), url=url, wanted=list(wanted), description=None,
                allow_private=settings.allow_private_addresses,
            )  # fmt: skip
        return endpoint.id, secret

    webhook_id, secret = with_database(action)
    if as_json:
        print_json({"id": str(webhook_id), "secret": secret})
    else:
        click.echo(f"id {webhook_id}", err=True)
        click.echo(secret)


@webhook.command("list")
@click.argument("email", type=Email(), required=False)
@json_option
def list_webhooks(email: str | None, as_json: bool) -> None:
    """List webhooks, of one user or of all; a thousand at most."""

    async def action(db: "Database", settings: "Settings") -> "list[Endpoint]":
        from gateway.webhooks import store

        async with db.connection() as connection:
            owner = None if email is None else await find_user_id(connection, email)
            return await store.list_endpoints(connection, owner, None, 1000)

    _print_rows(_COLUMNS, with_database(action), as_json)


@webhook.command("set")
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@click.option("--url")
@click.option("--event", "wanted", multiple=True, help="All that it is to get from now on.")
@click.option("--on/--off", "is_active", default=None)
@json_option
def set_webhook(
    webhook_id: UUID, url: str | None, wanted: tuple[str, ...], is_active: bool | None, as_json: bool
) -> None:
    """Change a webhook. What waits for one that is switched off is dropped."""
    given = {"url": url, "events": list(wanted) or None, "is_active": is_active}
    fields = {name: value for name, value in given.items() if value is not None}

    async def action(db: "Database", settings: "Settings") -> "Endpoint":
        from gateway.webhooks import endpoints

        async with db.transaction() as tx:
            endpoint = await endpoints.get(tx, None, webhook_id, lock=True)
            return await endpoints.change(tx, endpoint, fields, allow_private=settings.allow_private_addresses)

    _print_one(with_database(action), as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@click.option("--overlap", type=Duration(), default="24h", show_default=True, help="So long both secrets sign.")
@json_option
def rotate(webhook_id: UUID, overlap: int, as_json: bool) -> None:
    """Take a new secret, which is alone on stdout, once."""

    async def action(db: "Database", settings: "Settings") -> str:
        from gateway.webhooks import endpoints

        keyring = keyring_of(settings)
        async with db.transaction() as tx:
            endpoint = await endpoints.get(tx, None, webhook_id, lock=True)
            _, secret = await endpoints.rotate(tx, keyring, endpoint, min(overlap, endpoints.OVERLAP_S_MAX))
        return secret

    secret = with_database(action)
    if as_json:
        print_json({"id": str(webhook_id), "secret": secret})
    else:
        click.echo(secret)


@webhook.command()
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@json_option
def ping(webhook_id: UUID, as_json: bool) -> None:
    """Send a test message to a webhook; `deliveries` shows what came of it."""

    async def action(db: "Database", settings: "Settings") -> UUID:
        from gateway.webhooks import endpoints

        async with db.transaction() as tx:
            return await endpoints.ping(tx, await endpoints.get(tx, None, webhook_id, lock=True))

    delivery_id = with_database(action)
    if as_json:
        print_json({"delivery": str(delivery_id)})
    else:
        click.echo(f"delivery {delivery_id}")


@webhook.command()
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@click.option("--state", type=click.Choice(["pending", "delivered", "failed", "dropped"]))
@json_option
def deliveries(webhook_id: UUID, state: str | None, as_json: bool) -> None:
    """Show the last hundred deliveries to a webhook."""

    async def action(db: "Database", settings: "Settings") -> "list[Delivery]":
        from gateway.webhooks import endpoints
        from gateway.webhooks.deliveries.reading import store

        async with db.connection() as connection:
            endpoint = await endpoints.get(connection, None, webhook_id)
            return await store.list_deliveries(connection, endpoint.id, state=state, before=None, most=100)

    _print_rows(_DELIVERIES, with_database(action), as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@click.argument("delivery_id", metavar="DELIVERY", type=click.UUID)
@json_option
def delivery(webhook_id: UUID, delivery_id: UUID, as_json: bool) -> None:
    """Show a delivery with its body and each call: its answer's first kilobyte, and how long it took."""

    async def action(db: "Database", settings: "Settings") -> "tuple[Delivery, Message, list[Attempt]]":
        from gateway.errors import NotFound
        from gateway.webhooks.deliveries.reading import store
        from gateway.webhooks.model import body_of_event

        async with db.connection() as connection:
            found = await store.find_delivery(connection, webhook_id, delivery_id)
            event = await store.find_event(connection, found.event_id) if found else None
            if found is None or event is None:
                raise NotFound("delivery")
            return found, body_of_event(event), await store.attempts_of(connection, delivery_id)

    import msgspec

    shown, body, attempts = with_database(action)
    calls = [msgspec.structs.asdict(each) for each in attempts]
    fields = msgspec.structs.asdict(shown) | {"body": msgspec.json.encode(body).decode()}
    if as_json:
        print_json(fields | {"body": msgspec.to_builtins(body), "attempts": calls})
    else:
        print_fields(fields)
        print_table(_CALLS, calls)


@webhook.command()
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@json_option
def statistics(webhook_id: UUID, as_json: bool) -> None:
    """Count the calls of the last day, and what waits; a hundred thousand of each at most."""

    async def action(db: "Database", settings: "Settings") -> "Statistics":
        from datetime import timedelta

        from gateway.clock import utc_now
        from gateway.db.partitions import id_at
        from gateway.webhooks import endpoints
        from gateway.webhooks.deliveries.reading import store

        async with db.connection() as connection:
            await endpoints.get(connection, None, webhook_id)
            return await store.statistics(connection, webhook_id, id_at(utc_now() - timedelta(days=1)))

    _print_one(with_database(action), as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@click.option("--delivery", "delivery_id", type=click.UUID, help="This one alone.")
@click.option("--since", type=a_time)
@click.option("--until", type=a_time)
@click.option("--all", "with_delivered", is_flag=True, help="What was delivered too.")
@json_option
def replay(
    webhook_id: UUID, delivery_id: UUID | None, since: "datetime | None", until: "datetime | None",
    with_delivered: bool, as_json: bool,
) -> None:  # fmt: skip
    """Send again one delivery, or what failed in a time, ten thousand at most."""
    if (delivery_id is None) is (since is None):
        raise click.UsageError("one of --delivery and --since is needed")

    async def action(db: "Database", settings: "Settings") -> int:
        from gateway.webhooks import endpoints

        async with db.transaction() as tx:
            endpoint = await endpoints.get(tx, None, webhook_id, lock=True)
            if delivery_id is not None:
                return await endpoints.replay(tx, endpoint, delivery_id)
            assert since is not None, "it is needed without a delivery"
            return await endpoints.replay_range(tx, endpoint, since, until, only_failed=not with_delivered)

    count = with_database(action)
    if as_json:
        print_json({"count": count})
    else:
        click.echo(f"{count} are sent again")


@webhook.command()
@click.argument("webhook_id", metavar="ID", type=click.UUID)
@json_option
def remove(webhook_id: UUID, as_json: bool) -> None:
    """Remove a webhook, with what waits for it."""

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.webhooks import endpoints, store

        async with db.transaction() as tx:
            await store.remove(tx, (await endpoints.get(tx, None, webhook_id, lock=True)).id)

    with_database(action)
    if as_json:
        print_json({"removed": str(webhook_id)})
    else:
        click.echo("removed")


def _print_rows(columns: dict[str, str], rows: "list[Any]", as_json: bool) -> None:
    import msgspec

    fields = [msgspec.structs.asdict(row) for row in rows]
    if as_json:
        print_json(fields)
    else:
        print_table(columns, fields)


def _print_one(row: Any, as_json: bool) -> None:
    import msgspec

    fields = msgspec.structs.asdict(row)
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)
