"""The command `gateway`: one module a noun, heavy imports inside the commands, errors as one line."""

import sys
from typing import NoReturn

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from gateway.cli.alerts import alerts
from gateway.cli.audit import audit
from gateway.cli.demo import demo
from gateway.cli.failures import explain
from gateway.cli.key import key
from gateway.cli.ledger import ledger
from gateway.cli.margin import margin
from gateway.cli.markup import markup
from gateway.cli.migrate import migrate
from gateway.cli.order import order
from gateway.cli.price import price
from gateway.cli.probe import probe
from gateway.cli.provider import provider
from gateway.cli.route import route
from gateway.cli.secrets import secrets
from gateway.cli.serve import serve
from gateway.cli.service import service
from gateway.cli.simulate import simulate
from gateway.cli.tier import tier
from gateway.cli.user import user
from gateway.cli.wallet import wallet
from gateway.cli.webhook import webhook
from gateway.cli.work import work

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="smm-gateway", prog_name="gateway")
def cli() -> None:
    """Sell one catalogue of social media services to resellers, bought from many upstream panels."""


for command in (
    demo,
    serve,
    work,
    migrate,
    simulate,
    probe,
    user,
    key,
    tier,
    wallet,
    webhook,
    audit,
    provider,
    service,
    route,
    markup,
    price,
    order,
    ledger,
    margin,
    secrets,
):
    cli.add_command(command)
cli.add_command(alerts)


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
    except Exception as error:
        lines = explain(error)
        if not lines:
            raise
        for line in lines:
            click.echo(f"gateway: {line}", err=True)
        return FAILED
