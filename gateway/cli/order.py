"""`gateway order`: one order's whole story, and the operator's word where an outcome is unknown."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from gateway.cli.amounts import NOTHING, OrNone
from gateway.cli.order_explain import explain
from gateway.cli.output import json_option, print_fields, print_json, print_table, show
from gateway.cli.parameters import order_number
from gateway.cli.surroundings import operator_name, with_database
from gateway.cli.wallet import Amount

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.settings import Settings


@click.group()
def order() -> None:
    """Show orders and resolve those whose sending has an unknown outcome."""


@order.command("show")
@click.argument("number", metavar="N", type=order_number)
@json_option
def show_order(number: int, as_json: bool) -> None:
    """Show an order with its attempts, events and ledger rows."""

    async def action(db: "Database", settings: "Settings") -> dict[str, Any]:
        from gateway.orders.history import history

        return await history(db, number)

    story = with_database(action)
    if as_json:
        print_json(story)
        return
    print_fields(story["order"] | {"family": story["family"]} if "family" in story else story["order"])
    for part in ("attempts", "events", "ledger", *(["runs"] if "runs" in story else [])):
        rows: list[dict[str, Any]] = story[part]
        click.echo(f"\n{part}: {'' if rows else 'none'}".rstrip())
        if rows:
            print_table({name: name.upper() for name in rows[0]}, rows)


@order.command()
@click.argument("number", metavar="N", type=order_number)
@click.option("--placed-as", metavar="ID", help="The upstream took it under this id.")
@click.option("--not-placed", is_flag=True, help="The upstream never got it: queue it again.")
@click.option("--refund", is_flag=True, help="Give the customer the money back.")
@json_option
def resolve(number: int, placed_as: str | None, not_placed: bool, refund: bool, as_json: bool) -> None:
    """Say what became of an order that was sent and never answered."""
    if (placed_as is not None) + not_placed + refund != 1:
        raise click.UsageError("give exactly one of --placed-as ID, --not-placed and --refund")

    async def action(db: "Database", settings: "Settings") -> dict[str, Any]:
        from gateway.dispatch import resolve as dispatch_resolve
        from gateway.orders.history import history

        decision: dispatch_resolve.Decision
        if placed_as is not None:
            decision = dispatch_resolve.PlacedAs(placed_as)
        else:
            decision = dispatch_resolve.NotPlaced() if not_placed else dispatch_resolve.Refund()
        await dispatch_resolve.resolve(db, number, decision, operator_name())
        return await history(db, number)

    after = with_database(action)["order"]
    if as_json:
        print_json(after)
    else:
        click.echo(f"order {number}: status {after['status']}, dispatch {after['dispatch']}")


@order.command()
@click.argument("number", metavar="N", type=order_number)
@click.argument("amount", type=OrNone(Amount(), word="all"))
@click.option("--reference", required=True, help="Of the refund; the same one is booked once an order.")
@json_option
def refund(number: int, amount: Any, reference: str, as_json: bool) -> None:
    """Give back AMOUNT of what an order was charged, or `all` that is still charged."""

    async def action(db: "Database", settings: "Settings") -> dict[str, Any]:
        from gateway.db.partitions import load_number_map
        from gateway.errors import NotFound
        from gateway.orders.history import history
        from gateway.orders.refunds import refund_order
        from gateway.orders.store import find_by_number

        async with db.transaction() as tx:
            numbers = await load_number_map(tx)
            found = await find_by_number(tx, number, numbers.ranges(number))
            if found is None:
                raise NotFound(f"order {number}")
            await refund_order(tx, found, None if amount is NOTHING else amount, reference)
        return await history(db, number)

    after = with_database(action)["order"]
    if as_json:
        print_json(after)
    else:
        click.echo(f"order {number}: status {after['status']}, still charged {show(after['charge'])}")


order.add_command(explain)
