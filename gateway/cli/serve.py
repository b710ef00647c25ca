"""`gateway serve`: the HTTP side."""

import rich_click as click

from gateway.cli.output import json_option
from gateway.cli.surroundings import read_settings, running_servers


@click.command()
@json_option
def serve(as_json: bool) -> None:
    """Answer resellers over HTTP until SIGTERM. --json prints {"url": …} and logs lines of JSON."""
    import msgspec

    settings = read_settings()
    if as_json:
        settings = msgspec.structs.replace(settings, log_format="json")
    with running_servers(settings) as complete:
        from gateway import serving

        serving.serve(complete, as_json=as_json)
