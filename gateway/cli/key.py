"""`gateway key`: API keys, shown once."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import Currency, Email
from gateway.cli.surroundings import keyring_of, with_database

if TYPE_CHECKING:
    from gateway.accounts.model import KeySummary, Tier
    from gateway.db.engine import Database
    from gateway.settings import Settings

_COLUMNS = {
    "key_id": "ID",
    "name": "NAME",
    "tier": "TIER",
    "currency": "CURRENCY",
    "is_active": "ACTIVE",
    "created_at": "CREATED",
    "last_used_at": "LAST USED",
    "expires_at": "EXPIRES",
    "replay_window_s": "REPLAY S",
    "refuse_duplicates": "NO DUPLICATES",
}


class Window(click.ParamType[int]):
    """A time of 1 second to 24 hours: `120s`, `2m`, `1h`, or a number of seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,6})\s*([smh]?)", str(value).strip(), re.ASCII)
        seconds = int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0
        if not 1 <= seconds <= 86_400:
            self.fail(f"{value!r} is not a time of 1s to 24h, such as 120s or 2m", param, ctx)
        return seconds


@click.group()
def key() -> None:
    """Issue, list and revoke API keys."""


@key.command()
@click.argument("email", type=Email())
@click.option("--tier", type=click.Choice(["basic", "pro", "enterprise"]), required=True)
@click.option("--name", default="", help="What the key is for.")
@click.option("--currency", type=Currency(), help="Of the wallet it spends from; GATEWAY_CURRENCY where not given.")
@click.option("--expires", type=click.DateTime(), help="When it stops working, in UTC.")
@click.option(
    "--replay-window", type=Window(), help="The same add again within this time (120s) gives the first order's number."
)
@click.option("--refuse-duplicates", is_flag=True, help="Refuse a second active order for the same service and link.")
@json_option
def issue(
    email: str,
    tier: "Tier",
    name: str,
    currency: str | None,
    expires: datetime | None,
    replay_window: int | None,
    refuse_duplicates: bool,
    as_json: bool,
) -> None:
    """Issue a key: it alone is on stdout, this once."""
    expires_at = expires.replace(tzinfo=UTC) if expires else None
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise click.BadParameter(f"{expires_at:%Y-%m-%d %H:%M} UTC has passed", param_hint="--expires")

    async def action(db: "Database", settings: "Settings") -> tuple[UUID, str]:
        from gateway.accounts.keys import issue_key

        keyring = keyring_of(settings)
        async with db.transaction() as tx:
            return await issue_key(
                tx,
                keyring,
                email,
                tier,
                name,
                currency or settings.currency,
                expires_at,
                replay_window_s=replay_window,
                refuse_duplicates=refuse_duplicates,
            )

    key_id, secret = with_database(action)
    if as_json:
        print_json({"id": key_id, "key": secret, "tier": tier, "expires_at": expires_at})
    else:
        click.echo(f"key {key_id}; keep it, it cannot be shown again:", err=True)
        click.echo(secret)


@key.command("list")
@click.argument("email", type=Email(), required=False)
@json_option
def list_keys(email: str | None, as_json: bool) -> None:
    """List the keys of a user, or of all."""
    import msgspec

    async def action(db: "Database", settings: "Settings") -> "list[KeySummary]":
        from gateway.accounts import keys

        async with db.connection() as connection:
            return await keys.list_keys(connection, email)

    rows = [msgspec.structs.asdict(summary) for summary in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS if email else {"email": "EMAIL"} | _COLUMNS, rows)


@key.command()
@click.argument("key_id", metavar="ID", type=click.UUID)
@json_option
def revoke(key_id: UUID, as_json: bool) -> None:
    """Put a key out of force, in every process within a second."""

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.accounts.keys import revoke_key

        async with db.transaction() as tx:
            await revoke_key(tx, key_id)

    with_database(action)
    if as_json:
        print_json({"id": key_id, "is_active": False})
    else:
        click.echo(f"key {key_id} is revoked")
