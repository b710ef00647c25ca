"""`gateway work`: the loops that send orders, follow them and settle them."""

import rich_click as click

from gateway.cli.output import json_option
from gateway.cli.surroundings import read_settings, running_servers


@click.command()
@json_option
def work(as_json: bool) -> None:
    """Send orders upstream and follow them until SIGTERM. --json turns the log into lines of JSON."""
    import msgspec
    import uvloop

    from gateway.settings import require_secret_key

    settings = read_settings()
    if as_json:
        settings = msgspec.structs.replace(settings, log_format="json")
    with running_servers(settings) as complete:
        from gateway.telemetry import configure_logging
        from gateway.worker import run_worker

        require_secret_key(complete)
        configure_logging(complete)

        uvloop.run(run_worker(complete))
