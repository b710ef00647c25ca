"""`gateway simulate`: an upstream panel to try things out on."""

from pathlib import Path

import rich_click as click

from gateway.cli.output import json_option, print_json
from gateway.cli.surroundings import read_secret
from gateway.errors import ConfigurationError


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="On loopback; 0 takes a free one.")
@click.option("--key", help="The key that callers must give; the list of processes shows it.")
@click.option("--key-stdin", is_flag=True, help="Read that key from stdin instead.")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME[=RATE]", help="A fault to show, always or at a rate up to 1."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same choices.")
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), help="Append what is accepted; orders live on in it."
)
@click.option("--idempotency", is_flag=True, help="Honour idempotency keys, as gateways do; other panels do not.")
@json_option
def simulate(
    port: int,
    key: str | None,
    key_stdin: bool,
    faults: tuple[str, ...],
    seed: int,
    log: Path | None,
    idempotency: bool,
    as_json: bool,
) -> None:
    """Serve a panel that accepts, progresses and completes orders, until Ctrl-C."""
    import asyncio

    from compat.simulator import UnknownFault

    if (key is not None) == key_stdin:
        raise click.UsageError("give exactly one of --key and --key-stdin")
    key = read_secret("key") if key is None else key
    try:
        asyncio.run(_simulate(port, key, faults, seed, log, idempotency, as_json))
    except UnknownFault as error:
        raise ConfigurationError([str(error)]) from error


async def _simulate(
    port: int, key: str, faults: tuple[str, ...], seed: int, log: Path | None, idempotency: bool, as_json: bool
) -> None:
    import asyncio
    import contextlib
    import signal

    from compat.simulator import run_simulator

    def announce(url: str) -> None:
        if as_json:
            print_json({"url": url, "key": key})
        else:
            click.echo(f"a simulated panel answers at {url}")

    serving = asyncio.ensure_future(
        run_simulator(
            port=port, key=key, faults=faults, seed=seed, accept_log=log, idempotency=idempotency, ready=announce
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
