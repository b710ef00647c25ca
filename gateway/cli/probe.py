"""`gateway probe`: what a panel supports, without spending."""

from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.surroundings import read_secret

if TYPE_CHECKING:
    from compat.probe import Report

_COLUMNS = {"what": "WHAT", "verdict": "PASSED", "time_ms": "MS", "found": "FOUND"}


@click.command()
@click.pass_context
@click.argument("url")
@click.option("--key", help="Our key there; the list of processes shows it.")
@click.option("--key-stdin", is_flag=True, help="Read that key from stdin instead.")
@click.option(
    "--order", nargs=3, metavar="SERVICE LINK QUANTITY", help="Also place this order, which the panel charges for."
)
@json_option
def probe(
    ctx: click.Context, url: str, key: str | None, key_stdin: bool, order: tuple[str, str, str] | None, as_json: bool
) -> None:
    """Look at a panel: what it answers to each action, how it differs from the protocol, and how long it takes."""
    import asyncio

    import msgspec

    if (key is not None) == key_stdin:
        raise click.UsageError("give exactly one of --key and --key-stdin")
    report = asyncio.run(_probe(url, read_secret("key") if key is None else key, order))
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        verdicts = {True: "yes", False: "NO", None: "-"}
        print_table(_COLUMNS, [msgspec.structs.asdict(row) | {"verdict": verdicts[row.passed]} for row in report.rows])
        click.echo(f"dialect: {report.dialect or 'none that we know'}")
    if any(row.passed is False for row in report.rows):
        ctx.exit(1)


async def _probe(url: str, key: str, order: tuple[str, str, str] | None) -> "Report":
    from compat.probe import probe as look

    try:
        return await look(url, key, order=order)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
