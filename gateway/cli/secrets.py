"""`gateway secrets`: which secrets are needed, and moving what is sealed to the newest."""

from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.output import json_option, print_fields, print_json, print_table
from gateway.cli.surroundings import keyring_of, with_database

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.rotation.rotating import Rotation, Standing
    from gateway.settings import Settings

_COLUMNS = {
    "secret_id": "SECRET ID",
    "is_newest": "NEWEST",
    "is_listed": "LISTED",
    "providers": "PROVIDERS",
    "webhooks": "WEBHOOKS",
    "api_keys": "API KEYS",
    "api_keys_last_used_at": "KEYS LAST USED",
}


@click.group()
def secrets() -> None:
    """Move what is sealed to the newest secret of GATEWAY_SECRET_KEY."""


@secrets.command()
@click.option("--dry-run", is_flag=True, help="Open everything and write nothing.")
@json_option
def rotate(dry_run: bool, as_json: bool) -> int:
    """Seal the keys of providers and the secrets of webhooks anew; exit code 1 where one is left.

    Every process has to list the newest secret before; serving and sending go on.
    """
    import msgspec

    async def action(db: "Database", settings: "Settings") -> "Rotation":
        from gateway.rotation.rotating import rotate

        return await rotate(db, keyring_of(settings), dry_run=dry_run)

    done = with_database(action)
    if as_json:
        print_json({"dry_run": dry_run, **msgspec.to_builtins(done)})
    else:
        print_fields({"secret_id": done.secret_id, **done.resealed, "left": len(done.left)})
    for row in [] if as_json else done.left:
        click.echo(f"gateway: {row.table.removesuffix('s')} {row.label}: {row.reason}", err=True)
    return 1 if done.left else 0


@secrets.command()
@json_option
def status(as_json: bool) -> None:
    """Count the rows that need each secret, told by its id; never a secret."""
    import msgspec

    async def action(db: "Database", settings: "Settings") -> "list[Standing]":
        from gateway.rotation.rotating import standings

        return await standings(db, keyring_of(settings))

    rows = [msgspec.structs.asdict(standing) for standing in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [row | {"secret_id": row["secret_id"] or "not sealed"} for row in rows])
