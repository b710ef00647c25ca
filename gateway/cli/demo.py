"""`gateway demo`: all of it on this machine, with an upstream that is simulated."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

import rich_click as click

from gateway.cli.output import json_option, print_json

_WATCH_S = 0.2


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Of the API, 8000 where not given; 0 takes a free one.")
@click.option("--fresh", is_flag=True, help="First remove what an earlier demo made, and nothing else.")
@json_option
def demo(port: int | None, fresh: bool, as_json: bool) -> None:
    """Run everything here: PostgreSQL, Valkey, a simulated upstream, the API and a worker.

    Data stay in GATEWAY_DATA_DIR (.gateway/ where not set) until --fresh. Ctrl-C stops all of it.
    """
    from gateway.cli.demo_start import start_demo

    if not as_json:
        click.echo("starting", err=True)
    with _signals_interrupt(), contextlib.ExitStack() as stack:
        running = start_demo(stack, port, fresh)
        with contextlib.suppress(KeyboardInterrupt):
            if as_json:
                print_json(running.facts())
            else:
                click.echo(running.welcome())
            while True:
                running.check()
                time.sleep(_WATCH_S)  # between two looks at whether all processes live


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP is a KeyboardInterrupt; the stop that follows is not interrupted."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
