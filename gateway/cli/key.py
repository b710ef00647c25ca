"""`gateway key`: API keys, shown once."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from gateway.cli.key_terms import limits, read_limits, rotate, set_key
from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import Currency, Email
from gateway.cli.surroundings import keyring_of, with_database

if TYPE_CHECKING:
    from gateway.accounts.model import KeySummary
    from gateway.db.engine import Database
    from gateway.settings import Settings

_COLUMNS = {
    "key_id": "ID",
    "name": "NAME",
    "tier": "TIER",
    "currency": "CURRENCY",
    "is_active": "ACTIVE",
    "scopes": "SCOPES",
    "allowed_addresses": "ADDRESSES",
    "requests_per_minute": "A MINUTE",
    "daily_spend_cap": "DAY'S CAP",
    "spent_today": "SPENT",
    "created_at": "CREATED",
    "last_used_at": "LAST USED",
    "expires_at": "EXPIRES",
    "previous_expires_at": "OLD SECRET ENDS",
    "revoked_at": "REVOKED",
    "replay_window_s": "REPLAY S",
    "refuse_duplicates": "NO DUPLICATES",
}


@click.group()
def key() -> None:
    """Issue, list, change, rotate and revoke API keys."""


key.add_command(rotate)
key.add_command(set_key)


@key.command()
@click.argument("email", type=Email())
@click.option("--tier", required=True, help="How many requests a minute; see `gateway tier list`.")
@click.option("--name", default="", help="What the key is for.")
@click.option("--currency", type=Currency(), help="Of the wallet it spends from; GATEWAY_CURRENCY where not given.")
@click.option("--expires", type=click.DateTime(), help="When it stops working, in UTC.")
@limits
@click.option("--refuse-duplicates", is_flag=True, help="Refuse a second active order for the same service and link.")
@json_option
def issue(
    email: str,
    tier: str,
    name: str,
    currency: str | None,
    expires: datetime | None,
    refuse_duplicates: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Issue a key: it alone is on stdout, this once."""
    expires_at = expires.replace(tzinfo=UTC) if expires else None
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise click.BadParameter(f"{expires_at:%Y-%m-%d %H:%M} UTC has passed", param_hint="--expires")
    more = read_limits(**options)

    async def action(db: "Database", settings: "Settings") -> tuple[UUID, str]:
        from gateway.accounts.keys import issue_key

        keyring, wallet = keyring_of(settings), currency or settings.currency
        async with db.transaction() as tx:
            return await issue_key(
                tx, keyring, email, tier, name, wallet, expires_at, refuse_duplicates=refuse_duplicates, **more
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
