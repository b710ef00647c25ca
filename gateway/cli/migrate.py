"""`gateway migrate`: the database brought up to date."""

import rich_click as click

from gateway.cli.output import json_option, print_json
from gateway.cli.surroundings import read_settings, running_servers


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Bring the database to this version; safe on live data and safe to repeat."""
    import asyncio

    with running_servers(read_settings(), with_redis=False) as settings:
        from gateway.db.migrate import upgrade
        from gateway.db.version import HEAD

        url = settings.database_direct_url or settings.database_url
        assert url is not None
        asyncio.run(upgrade(url))
    if as_json:
        print_json({"revision": HEAD})
    else:
        click.echo(f"the database is at revision {HEAD}")
