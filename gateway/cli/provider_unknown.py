"""`gateway provider`, where outcomes are unknown: probes, taught words, and the end of a pause."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.surroundings import operator_name, with_database

if TYPE_CHECKING:
    from gateway.db.engine import Database, Transaction
    from gateway.dispatch.unknowns.teaching import Resolved
    from gateway.providers.store import SealedProvider
    from gateway.providers.words.store import Taught
    from gateway.settings import Settings


@click.command()
@click.argument("name")
@click.argument("switch", metavar="on|off", type=click.Choice(["on", "off"]))
@json_option
def probes(name: str, switch: str, as_json: bool) -> None:
    """Let unknown orders be looked for at the provider by the status of ids near theirs, or not.

    Only where nothing but this gateway orders from the account.
    """

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.providers.actions import set_probes

        async with db.transaction() as tx:
            await set_probes(tx, (await _get(tx, name)).id, switch == "on")

    with_database(action)
    if as_json:
        print_json({"provider": name, "probes": switch == "on"})
    else:
        click.echo(f"probes at {name} are {switch}")


@click.command()
@click.argument("name")
@click.argument("text")
@click.argument("meaning", type=click.Choice(["refused", "provider", "passing"]))
@click.option("--dry-run", is_flag=True, help="Only list the orders that it would resolve.")
@json_option
def teach(name: str, text: str, meaning: str, dry_run: bool, as_json: bool) -> None:
    """Say what an error TEXT of the provider means, and resolve what is unknown for want of it.

    refused: the order's fault; provider: the provider's (funds, key, service); passing: try again.
    """

    async def action(db: "Database", settings: "Settings") -> "list[Resolved]":
        from gateway.dispatch.unknowns import teaching

        async with db.connection() as connection:
            provider = await _get(connection, name)
        return await teaching.teach(db, provider.id, text, meaning, operator_name(), dry_run=dry_run)

    resolved = [{"order": each.order, "fault": each.fault.value, "text": each.text} for each in with_database(action)]
    if as_json:
        print_json({"provider": name, "meaning": meaning, "dry_run": dry_run, "resolved": resolved})
    elif resolved:
        print_table({"order": "ORDER", "fault": "FAULT", "text": "TEXT"}, resolved)
    else:
        click.echo(f"no unknown order {'would be' if dry_run else 'was'} resolved by it")


@click.command()
@click.argument("name")
@click.option("--forget", metavar="TEXT", help="Let these words be unknown again.")
@json_option
def words(name: str, forget: str | None, as_json: bool) -> None:
    """List the words that the provider's errors were taught with."""

    async def action(db: "Database", settings: "Settings") -> "list[Taught]":
        from gateway.errors import NotFound
        from gateway.providers.words import store
        from gateway.providers.words.model import check_words

        async with db.transaction() as tx:
            provider = await _get(tx, name)
            if forget is not None and not await store.delete(tx, provider.id, check_words(forget)):
                raise NotFound(f"taught words {forget!r} of {name}")
            return await store.list_of(tx, provider.id)

    rows: list[dict[str, Any]] = [
        {"words": each.words, "meaning": each.meaning, "created_at": each.created_at} for each in with_database(action)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table({"words": "WORDS", "meaning": "MEANING", "created_at": "TAUGHT"}, rows)


@click.command()
@click.argument("name")
@json_option
def resume(name: str, as_json: bool) -> None:
    """End the provider's pause; its unknown orders of now will not pause it again."""

    async def action(db: "Database", settings: "Settings") -> int:
        from gateway.dispatch.unknowns import pausing

        async with db.connection() as connection:
            provider = await _get(connection, name)
        return await pausing.resume(db, provider.id, operator_name())

    unknown = with_database(action)
    if as_json:
        print_json({"provider": name, "unknown_acknowledged": unknown})
    else:
        click.echo(f"{name} takes orders again; {unknown} unknown orders do not count against it any more")


async def _get(tx: "Transaction", name: str) -> "SealedProvider":
    """Raises NotFound where no provider has this name."""
    from gateway.errors import NotFound
    from gateway.providers import store

    row = await store.find_by_name(tx, name.strip())
    if row is None:
        raise NotFound(f"provider {name}")
    return row
