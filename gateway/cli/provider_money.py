"""`gateway provider money`, `deposit`, `days` and `charges`: our account at a provider, and what it took."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.output import json_option, print_fields, print_json, print_table
from gateway.cli.parameters import a_day, a_time
from gateway.cli.surroundings import with_database
from gateway.cli.wallet import Amount
from gateway.errors import NotFound

if TYPE_CHECKING:
    from gateway.db.engine import Database, Transaction
    from gateway.providers.money.days.reconciling import Deposited
    from gateway.providers.money.model import Account, Charge, Day
    from gateway.providers.store import SealedProvider
    from gateway.settings import Settings

_DAYS_SHOWN = 31
_DAYS_MAX = 366
_CHARGES_OF_DAYS = 7


async def _find(tx: "Transaction", name: str) -> "SealedProvider":
    from gateway.providers import store

    found = await store.find_by_name(tx, name.strip())
    if found is None:
        raise NotFound(f"provider {name}")
    return found


@click.command()
@click.argument("name")
@click.option("--low", type=Amount(), help="Alert when the balance falls below this, in its currency.")
@click.option("--no-low", is_flag=True, help="Do not alert any more.")
@json_option
def money(name: str, low: Decimal | None, no_low: bool, as_json: bool) -> None:
    """Show our balance there and for how long it lasts; set the balance below which somebody is told."""
    if low is not None and no_low:
        raise click.UsageError("give at most one of --low and --no-low")

    async def action(db: "Database", settings: "Settings") -> "Account":
        from gateway.providers.money import store
        from gateway.providers.money.model import check_low_balance

        async with db.transaction() as tx:
            provider = await _find(tx, name)
            if low is not None or no_low:
                await store.update_low_balance(tx, provider.id, None if low is None else check_low_balance(low))
            account = await store.find_account(tx, provider.id)
        if account is None:
            raise NotFound(f"provider {name}")
        return account

    account = with_database(action)
    values = {
        "provider": account.name,
        "currency": account.currency,
        "balance": account.balance,
        "balance_at": account.balance_at,
        "low_balance": account.low_balance,
        "daily_spend": account.daily_spend,
        "days_left": account.days_left,
        "routes_paused_for_funds": account.routes_paused,
    }
    if as_json:
        print_json(values)
    else:
        print_fields(values)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("amount", type=Amount())
@click.option("--reference", required=True, help="Of the payment; the same one is entered once.")
@click.option("--at", type=a_time, help="When it was made, UTC where no zone is named; now where not given.")
@json_option
def deposit(name: str, amount: Decimal, reference: str, at: datetime | None, as_json: bool) -> None:
    """Enter what was paid in there, in its currency; a negative AMOUNT is money taken out."""

    async def action(db: "Database", settings: "Settings") -> "Deposited":
        from gateway.providers.money.days.reconciling import enter_deposit

        async with db.transaction() as tx:
            return await enter_deposit(tx, (await _find(tx, name)).id, amount, reference, at)

    done = with_database(action)
    values = {
        "provider": name.strip(),
        "amount": done.amount,
        "reference": done.reference,
        "at": done.at,
        "entered": done.entered,
    }
    if as_json:
        print_json(values)
    else:
        print_fields(values)


@click.command()
@click.argument("name")
@click.option("--since", type=a_day, help=f"The first day (UTC); {_DAYS_SHOWN} days back where not given.")
@json_option
def days(name: str, since: datetime | None, as_json: bool) -> None:
    """Show each day's charges against what the balance did, with the difference, the newest day first.

    difference = closing - (opening + deposits - charged + returned): below 0, money is gone that no order explains.
    """

    async def action(db: "Database", settings: "Settings") -> "tuple[SealedProvider, list[Day]]":
        from gateway.providers.money.days import store

        first = _day(since, _DAYS_SHOWN)
        async with db.connection() as connection:
            provider = await _find(connection, name)
            return provider, await store.list_days(connection, provider.id, first, _DAYS_MAX)

    from gateway.providers.money.model import REASONS

    provider, found = with_database(action)
    rows = [_fields(day) for day in found]
    if as_json:
        print_json({"provider": provider.name, "currency": provider.currency, "days": rows, "reasons": list(REASONS)})
        return
    columns = ("day", "opening", "deposits", "charged", "returned", "closing", "difference", "missing")
    print_table({column: column.upper() for column in columns}, rows)
    if any(day.difference for day in found):
        click.echo("\na difference comes from:")
        for reason in REASONS:
            click.echo(f"- {reason}")


@click.command()
@click.argument("name")
@click.option("--since", type=a_day, help=f"Ended on this day (UTC) or later; {_CHARGES_OF_DAYS} days back otherwise.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="The worst so many.")
@json_option
def charges(name: str, since: datetime | None, limit: int, as_json: bool) -> None:
    """List ended orders that cost more than expected, beyond the places that the upstream prints."""

    async def action(db: "Database", settings: "Settings") -> "list[Charge]":
        from gateway.providers.money.days import store

        first = datetime.combine(_day(since, _CHARGES_OF_DAYS), datetime.min.time(), UTC)
        async with db.connection() as connection:
            return await store.list_overcharges(connection, (await _find(connection, name)).id, first, limit)

    rows = [_fields(charge) for charge in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        columns = ("number", "upstream_id", "status", "completed_at", "expected", "charged", "difference")
        print_table({column: column.upper() for column in columns}, rows)


def _day(given: datetime | None, back: int) -> date:
    return given.date() if given else (datetime.now(UTC) - timedelta(days=back)).date()


def _fields(row: "Day | Charge") -> dict[str, Any]:
    import msgspec

    fields = msgspec.structs.asdict(row)
    return fields | {"day": fields["day"].isoformat()} if "day" in fields else fields
