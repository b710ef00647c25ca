"""The command line as a tree: every noun, each loaded."""

import rich_click as click

from gateway.cli import cli


def every_noun() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
