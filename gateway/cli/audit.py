"""`gateway audit`: who changed what."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.surroundings import with_database

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.settings import Settings

_COLUMNS = {
    "created_at": "AT",
    "actor_name": "WHO",
    "address": "FROM",
    "action": "ACTION",
    "object_type": "OF",
    "object_id": "ID",
    "before": "BEFORE",
    "after": "AFTER",
    "reason": "REASON",
}


@click.command()
@click.option("--object-type", help="A table, such as users or wallets.")
@click.option("--object-id", help="The id of a row there.")
@click.option("--actor", type=click.UUID, help="The id of the user whose key did it.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def audit(object_type: str | None, object_id: str | None, actor: Any, most: int, as_json: bool) -> None:
    """Show what operators and keys changed, the newest first. Of a secret only that it changed."""

    async def action(db: "Database", settings: "Settings") -> list[Any]:
        from gateway.audit import store

        async with db.connection() as connection:
            return await store.list_records(
                connection, object_type=object_type, object_id=object_id, actor_user_id=actor, before=None, most=most
            )

    import msgspec

    rows = [msgspec.structs.asdict(each) for each in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, rows)
