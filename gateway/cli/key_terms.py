"""`gateway key`: the terms of a key as options, another secret for it, and other terms."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from gateway.cli.amounts import Duration, OrNone, Window, given
from gateway.cli.output import json_option, print_json
from gateway.cli.parameters import a_time, order_number
from gateway.cli.surroundings import keyring_of, with_database
from gateway.cli.wallet import Amount

if TYPE_CHECKING:
    from gateway.accounts.model import KeySummary, Network
    from gateway.db.engine import Database
    from gateway.settings import Settings


class AddressRange(click.ParamType["Network"]):
    """An address, or a network without host bits."""

    name = "cidr"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Network":
        from gateway.accounts.addresses import parse_network

        try:
            return parse_network(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Overlap(click.ParamType[int]):
    """A time as `Duration`, or 0."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return 0 if str(value).strip() == "0" else Duration().convert(value, param, ctx)


def limits(command: Any) -> Any:
    """The options that bound a key."""
    for option in reversed(
        (
            click.option("--scope", "scopes", multiple=True, help="What it may do; `all` is no bound."),
            click.option(
                "--allow-address",
                "allowed_addresses",
                multiple=True,
                metavar="CIDR",
                help="An address or a network that it may be used from; `any` is no bound.",
            ),
            click.option("--daily-spend-cap", type=OrNone(Amount()), help="What its orders may cost in a day of UTC."),
            click.option(
                "--requests-per-minute", type=OrNone(order_number), help="A limit of its own, before that of its tier."
            ),
            click.option(
                "--replay-window",
                "replay_window_s",
                type=OrNone(Window()),
                help="The same add again within this time (120s) gives the first order's number.",
            ),
        )
    ):
        command = option(command)
    return command


def read_limits(scopes: tuple[str, ...], allowed_addresses: tuple[str, ...], **options: Any) -> dict[str, Any]:
    """What was given of `limits`; a list of `all` scopes or of `any` address is None."""
    values = given(**options)
    if scopes:
        values["scopes"] = None if scopes == ("all",) else scopes
    if allowed_addresses == ("any",):
        values["allowed_addresses"] = None
    elif allowed_addresses:
        read = AddressRange()
        values["allowed_addresses"] = tuple(read(text) for text in allowed_addresses)
    return values


@click.command()
@click.argument("key_id", metavar="ID", type=click.UUID)
@click.option(
    "--overlap", type=Overlap(), default="24h", show_default=True, help="How long the old secret works too; 0 is not."
)
@json_option
def rotate(key_id: UUID, overlap: int, as_json: bool) -> None:
    """Give a key another secret: it alone is on stdout, this once. The id and all terms stay."""

    async def action(db: "Database", settings: "Settings") -> "tuple[str, KeySummary | None]":
        from gateway.accounts.keys import find_key, rotate_key

        keyring = keyring_of(settings)
        async with db.transaction() as tx:
            secret = await rotate_key(tx, keyring, key_id, overlap)
            return secret, await find_key(tx, key_id)

    secret, summary = with_database(action)
    ends_at = summary.previous_expires_at if summary else None
    if as_json:
        print_json({"id": key_id, "key": secret, "previous_expires_at": ends_at})
    else:
        until = f"works until {ends_at:%Y-%m-%d %H:%M:%S} UTC" if ends_at else "is out of force"
        click.echo(f"key {key_id}: its old secret {until}; keep the new one, it cannot be shown again:", err=True)
        click.echo(secret)


@click.command("set")
@click.argument("key_id", metavar="ID", type=click.UUID)
@click.option("--name", help="What the key is for.")
@click.option("--tier")
@limits
@click.option("--expires", "expires_at", type=OrNone(a_time), help="When it stops working.")
@click.option("--refuse-duplicates/--allow-duplicates", default=None)
@json_option
def set_key(key_id: UUID, as_json: bool, **options: Any) -> None:
    """Change the terms of a key, in every process within a second; `none`, `all` and `any` take a bound away."""
    changes = read_limits(**options)
    if not changes:
        raise click.UsageError("give at least one option to set")
    _check_end(changes.get("expires_at"))

    async def action(db: "Database", settings: "Settings") -> "KeySummary":
        from gateway.accounts.keys import change_key
        from gateway.accounts.terms.model import KeyEdit

        async with db.transaction() as tx:
            return await change_key(tx, key_id, KeyEdit(**changes))

    import msgspec

    summary = with_database(action)
    if as_json:
        print_json(msgspec.structs.asdict(summary))
    else:
        click.echo(f"key {key_id} is set")


def _check_end(expires_at: datetime | None) -> None:
    from datetime import UTC

    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise click.BadParameter(f"{expires_at:%Y-%m-%d %H:%M} UTC has passed; use revoke", param_hint="--expires")
