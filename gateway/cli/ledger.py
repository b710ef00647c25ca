"""`gateway ledger`: the proof of the money."""

from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.output import json_option, print_json
from gateway.cli.surroundings import with_database

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.ledger.verify import Problem
    from gateway.settings import Settings


@click.group()
def ledger() -> None:
    """Look into the ledger."""


@ledger.command("verify")
@json_option
def verify_ledger(as_json: bool) -> int:
    """Prove every invariant of the money; exit code 1 where one does not hold."""
    import msgspec

    async def action(db: "Database", settings: "Settings") -> "list[Problem]":
        from gateway.ledger.verify import verify

        async with db.connection() as connection, connection.transaction(isolation="repeatable_read"):
            return await verify(connection)

    problems = with_database(action)
    if as_json:
        print_json({"clean": not problems, "problems": [msgspec.structs.asdict(problem) for problem in problems]})
    elif not problems:
        click.echo("the ledger is clean")
    for problem in [] if as_json else problems:
        click.echo(f"gateway: {_line(problem)}", err=True)
    return 1 if problems else 0


def _line(problem: "Problem") -> str:
    whose = []
    if problem.wallet_id is not None:
        whose.append(f"wallet {problem.wallet_id}" + (f" of {problem.user_email}" if problem.user_email else ""))
    if problem.order_number is not None:
        whose.append(f"order {problem.order_number}")
    return f"{', '.join(whose) or 'ledger'}: {problem.what}"
