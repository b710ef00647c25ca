"""The command `gateway`: one module a noun, heavy imports inside the commands, errors as one line."""

import importlib
import sys
from collections.abc import Iterable
from typing import NoReturn

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from gateway.cli.failures import explain

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


NOUNS = (
    *("alerts", "audit", "demo", "key", "ledger", "margin", "markup", "migrate", "order", "price", "probe", "provider"),
    *("route", "secrets", "serve", "service", "simulate", "tier", "user", "wallet", "webhook", "work"),
)
"""Each is a module here, with the command of its name in it."""


class _Nouns(click.RichGroup):
    """Loads the noun that is asked for; all of them where they are listed, or one like a wrong word is looked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load(NOUNS)
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        self._load([cmd_name] if cmd_name in NOUNS else NOUNS)
        return super().get_command(ctx, cmd_name)

    def _load(self, nouns: Iterable[str]) -> None:
        for noun in nouns:
            if noun not in self.commands:
                self.add_command(getattr(importlib.import_module(f"{__name__}.{noun}"), noun))


@click.group(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="smm-gateway", prog_name="gateway")
def cli() -> None:
    """Sell one catalogue of social media services to resellers, bought from many upstream panels."""


def main() -> NoReturn:
    """Run the command line; what can be foreseen to fail is told in one line, without a traceback."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code: 0, 1 for a failure, 2 for a command that was given wrongly, 130 for Ctrl-C."""
    try:
        outcome = cli.main(arguments, prog_name="gateway", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return MISUSED
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "gateway"
        said = " ".join(error.format_message().split())
        click.echo(f"{where}: {said} (see {where} --help)", err=True)
        return MISUSED
    except click.ClickException as error:
        click.echo(f"gateway: {error.format_message()}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:  # raised again, unless it can be told in plain words
        lines = explain(error)
        if not lines:
            raise
        for line in lines:
            click.echo(f"gateway: {line}", err=True)
        return FAILED
