"""What orders must have come to, by the simulated panel's own truth, and where a chain of gateways differs from it.

Money is computed here anew: from the panel's price list through each markup, by what the panel delivered.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from compat.kinds import RULES, Counting, parse_kind
from compat.simulator import Panel
from compat.wire import RefillStatus
from tests.support.chain import FUNDS, Gateway

_EXACT = Context(prec=60)
_PLACES = Decimal("0.00000001")
OPEN = ("pending", "processing")
DRIPPED = "https://example.com/dripped/"
"""The links of drip-feeds that a gateway runs by itself: the panel sees one several times."""


@dataclass(frozen=True)
class End:
    """How much of an order was delivered in the end; `runs` are those of a parent, by their ids."""

    quantity: int
    delivered: int
    runs: frozenset[str] | None = None


@dataclass
class Level:
    """What one gateway has in its rows."""

    gateway: Gateway
    orders: list[Any]
    families: dict[Any, Any]
    refills: list[Any]
    attempts: list[Any]
    balance: Decimal
    held: Decimal
    rates: dict[str, Decimal] = field(default_factory=dict)


async def differences(chain: Sequence[Gateway], panel: Panel) -> list[str]:
    """What is not, or not yet, as the panel's truth has it; the chain's first gateway is the one ordered from."""
    levels = [await read_level(gateway) for gateway in chain]
    ends = dict(ends_of_panel(panel))
    found: list[str] = [*_of_panel(panel, ends, levels[-1])]
    rates = {service.name: service.rate for service in panel.services.values()}
    refills = {str(number): panel.refills.status(number) for number in panel.refills.numbers()}
    for level in reversed(levels):
        rates = {name: part(rate, 100 + level.gateway.markup, Decimal(100)) for name, rate in rates.items()}
        level.rates = rates
        name = level.gateway.installation.name
        found += [f"{name}: {text}" for text in _of_level(level, ends)]
        found += [f"{name}: {text}" for text in _of_refills(level, refills)]
        ends = {str(row["number"]): end for row, end in _ends_of(level, ends)}
        refills = {str(row["number"]): _shown(row["state"]) for row in level.refills}
    return found


async def read_level(gateway: Gateway) -> Level:
    async with gateway.db.snapshot() as tx:
        orders = await tx.fetch(
            "SELECT o.*, s.name AS service, s.kind FROM orders o JOIN services s ON s.id = o.service_id ORDER BY number"
        )
        families = {row["order_id"]: row for row in await tx.fetch("SELECT * FROM order_parents")}
        refills = await tx.fetch("SELECT * FROM refills ORDER BY number")
        attempts = await tx.fetch("SELECT * FROM dispatch_attempts ORDER BY id")
        wallet = await tx.fetchrow("SELECT balance, hold_amount FROM wallets")
    return Level(gateway, orders, families, refills, attempts, wallet["balance"], wallet["hold_amount"])


def ends_of_panel(panel: Panel) -> Iterator[tuple[str, End | None]]:
    """By its ids the orders of the panel and their runs; None for one that nobody asked about yet."""
    for accepted in panel.accepted:
        runs = panel.runs_of(accepted.order)
        if runs is None:
            yield str(accepted.order), _end(panel, accepted.order, accepted.quantity)
            continue
        for run in runs:
            yield str(run), _end(panel, run, panel.quantity_of(run))
        yield str(accepted.order), End(accepted.quantity, 0, frozenset(str(run) for run in runs))


def _end(panel: Panel, order: int, quantity: int) -> End | None:
    now = panel.end(order)
    return None if now is None else End(quantity, quantity - now.remains)


def part(amount: Decimal, share: Decimal | int, whole: Decimal | int) -> Decimal:
    """amount × share / whole, half-even to eight places."""
    exact = _EXACT.divide(_EXACT.multiply(amount, Decimal(share)), Decimal(whole))
    return exact.quantize(_PLACES, ROUND_HALF_EVEN)


# The panel ---------------------------------------------------------------------------------------


def _of_panel(panel: Panel, ends: Mapping[str, End | None], last: Level) -> Iterator[str]:
    """Each order was accepted once, under a key of the last gateway's; the panel's own books add up."""
    owner = {str(row["id"]): row["order_id"] for row in last.attempts}
    keys = [accepted.idempotency_key or "" for accepted in panel.accepted]
    if strange := [key for key in keys if key not in owner]:
        yield f"the panel took what no attempt sent: {strange}"
    targets = [(a.service, a.fields.get("link", a.fields.get("username", ""))) for a in panel.accepted]
    targets = [(service, target) for service, target in targets if not target.startswith(DRIPPED)]
    for what, counted in (
        ("keys", Counter(keys)),
        ("orders", Counter(owner.get(key) for key in keys)),
        ("targets", Counter(targets)),
    ):
        if twice := [name for name, times in counted.items() if times > 1]:
            yield f"the panel took {what} twice: {twice}"
    if open_ids := [number for number, end in ends.items() if end is None]:
        yield f"nobody asked the panel about {open_ids}"
        return
    charges = [panel.end(int(number)) for number, end in ends.items() if end is not None and end.runs is None]
    spent = panel.funds - panel.balance().balance
    if spent != sum(now.charge for now in charges if now is not None):
        yield f"the panel kept {spent}, and its orders cost {sum(now.charge for now in charges if now is not None)}"


# A gateway ---------------------------------------------------------------------------------------


def _of_level(level: Level, below: Mapping[str, End | None]) -> Iterator[str]:
    numbers = [row["external_order_id"] for row in level.orders if row["external_order_id"] is not None]
    if len(numbers) != len(set(numbers)):
        yield "an upstream's order has two of ours"
    if strange := sorted(set(below) - set(numbers)):
        yield f"the upstream has orders that are none of ours: {strange}"
    if level.held:
        yield f"{level.held} is held"
    charged = sum(row["charge"] for row in level.orders if row["parent_id"] is None)
    if FUNDS - level.balance != charged:
        yield f"{FUNDS - level.balance} was paid, and the orders are charged {charged}"
    for row in level.orders:
        if row["status"] in OPEN:
            yield f"order {row['number']} ({row['service']}) is {row['status']}, {row['dispatch']}"
            continue
        judge = _of_parent if row["is_parent"] else _of_order
        for text in judge(level, row, below):
            yield f"order {row['number']} ({row['service']}, {row['status']}, {row['dispatch']}): {text}"


def _of_order(level: Level, row: Any, below: Mapping[str, End | None]) -> Iterator[str]:
    end = below.get(row["external_order_id"], End(row["quantity"], 0))
    if end is None:
        return
    if row["quantity"] != end.quantity and (end.delivered or row["parent_id"] is None):
        yield f"quantity {row['quantity']}, and there {end.quantity}"
    price = _price_of(level, row)
    if row["price"] != price:
        yield f"price {row['price']}, expected {price}"
    charge = part(price, end.delivered, end.quantity) if end.delivered else Decimal(0)
    if row["charge"] != charge:
        yield f"charge {row['charge']}, expected {charge} for {end.delivered} of {end.quantity}"
    remains = end.quantity - end.delivered if end.delivered else row["quantity"]
    if row["remains"] != remains:
        yield f"remains {row['remains']}, expected {remains}"
    if row["status"] not in _words(end.delivered, end.quantity):
        yield f"delivered {end.delivered} of {end.quantity}"


def _of_parent(level: Level, row: Any, below: Mapping[str, End | None]) -> Iterator[str]:
    children = [child for child in level.orders if child["parent_id"] == row["id"]]
    family = level.families[row["id"]]
    end = below.get(row["external_order_id"]) if row["external_order_id"] else None
    if end is not None and {child["external_order_id"] for child in children} != end.runs:
        yield f"runs {sorted(str(child['external_order_id']) for child in children)}, there {sorted(end.runs or ())}"
    if len(children) != family["started"] or family["delivered_rest"]:
        yield f"{len(children)} runs, {family['started']} begun, {family['delivered_rest']} unseen"
    price = _price_of(level, row)
    if (row["price"], family["run_price"]) != (price * family["held"], price):
        yield f"price {row['price']}, expected {price} × {family['held']}"
    charge = sum((child["charge"] for child in children), Decimal(0))
    if row["charge"] != charge:
        yield f"charge {row['charge']}, its runs {charge}"


def _words(delivered: int, quantity: int) -> tuple[str, ...]:
    if delivered == quantity:
        return ("completed",)
    return ("partial", "refunded") if delivered else ("cancelled", "failed", "refunded")


def _price_of(level: Level, row: Any) -> Decimal:
    """Of an order, or of one run of a parent, by this gateway's price list."""
    rate = level.rates[row["service"]]
    kind = parse_kind(row["kind"])
    if kind is not None and RULES[kind].counting is Counting.ONE:
        return rate
    if row["is_parent"]:
        return part(rate, level.families[row["id"]]["run_quantity"], 1000)
    if row["parent_id"] is None:
        return part(rate, row["quantity"], 1000)
    family = level.families[row["parent_id"]]
    return part(part(rate, family["run_quantity"], 1000), row["quantity"], family["run_quantity"])


def _ends_of(level: Level, below: Mapping[str, End | None]) -> Iterator[tuple[Any, End | None]]:
    """What the gateway's own orders must come to, for those who buy them."""
    runs: dict[Any, set[str]] = {}
    for row in level.orders:
        if row["parent_id"] is not None:
            runs.setdefault(row["parent_id"], set()).add(str(row["number"]))
    for row in level.orders:
        if row["is_parent"]:
            yield row, End(row["quantity"], 0, frozenset(runs.get(row["id"], set())))
            continue
        end = below.get(row["external_order_id"], End(row["quantity"], 0))
        yield row, None if end is None else End(row["quantity"], end.delivered)


# Refills -----------------------------------------------------------------------------------------


def _of_refills(level: Level, below: Mapping[str, RefillStatus | None]) -> Iterator[str]:
    for row in level.refills:
        there = below.get(row["upstream_id"])
        ended = {"completed": RefillStatus.COMPLETED, "rejected": RefillStatus.REJECTED}.get(row["state"])
        if row["upstream_id"] is not None and ended is not there:
            yield f"refill {row['number']} is {row['state']}, there {there}"
        if row["state"] in ("requested", "accepted"):
            yield f"refill {row['number']} is {row['state']}"
    taken = [row["upstream_id"] for row in level.refills if row["upstream_id"] is not None]
    if len(taken) != len(set(taken)):
        yield f"refills of the upstream are taken twice: {taken}"


def _shown(state: str) -> RefillStatus:
    return RefillStatus.COMPLETED if state == "completed" else RefillStatus.REJECTED
