"""Every fault of the simulator, over real HTTP, has its written outcome in the client."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, TCPConnector

from compat.client import PanelClient
from compat.errors import Fault
from compat.failures import BadAnswer, UpstreamError, UpstreamRefusal
from compat.kinds import Kind
from compat.simulator import FAULTS, Faults, Simulator, UnknownFault
from compat.simulator.faults import AFTER_ACCEPTING, BEFORE_ACCEPTING, OF_STATUS
from compat.status import UpstreamStatus
from compat.wire import Accepted, AddOutcome, NotSent, Refused, Unknown, UpstreamReport

KEY = "simulated-key"
ORDER = {"link": "https://example.com/p/1", "quantity": "100"}


class Clock:
    """The time of day as the test wants it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def simulator(clock: Clock, tmp_path: Path) -> AsyncIterator[Simulator]:
    simulator = Simulator(seed=7, key=KEY, accept_log=tmp_path / "accepted.jsonl", clock=clock)
    yield simulator
    await simulator.stop()


@pytest.fixture
async def panel(simulator: Simulator) -> AsyncIterator[PanelClient]:
    url = await simulator.start()
    async with PanelClient(url, KEY, timeout_s=0.5, max_body_bytes=65536) as panel:
        yield panel


async def until(condition: Callable[[], object]) -> None:
    """Wait for it, five seconds at most."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came about")


def accepted_id(outcome: AddOutcome) -> str:
    assert isinstance(outcome, Accepted)
    return outcome.order


REFUSED: dict[str, Fault] = {
    "refuse": Fault.ORDER,
    "not-enough-funds": Fault.PROVIDER,
    "too-many-requests": Fault.PASSING,
}


@pytest.mark.parametrize(("name", "fault"), REFUSED.items())
async def test_a_refusal_accepts_nothing(simulator: Simulator, panel: PanelClient, name: str, fault: Fault) -> None:
    simulator.faults.next(name)
    outcome = await panel.add("1", ORDER)
    assert isinstance(outcome, Refused)
    assert outcome.fault is fault
    assert simulator.panel.accepted == []


@pytest.mark.parametrize("name", [name for name in BEFORE_ACCEPTING if name not in REFUSED])
async def test_a_failure_before_accepting_is_unknown_to_the_caller(
    simulator: Simulator, panel: PanelClient, name: str
) -> None:
    simulator.faults.next(name)
    assert isinstance(await panel.add("1", ORDER), Unknown)
    assert simulator.panel.accepted == []
    assert simulator.requests == 1


@pytest.mark.parametrize("name", [name for name in AFTER_ACCEPTING if name != "duplicate-id"])
async def test_a_failure_after_accepting_is_unknown_and_was_asked_once(
    simulator: Simulator, panel: PanelClient, name: str
) -> None:
    simulator.faults.next(name)
    assert isinstance(await panel.add("1", ORDER), Unknown)
    assert [(order.service, order.fields) for order in simulator.panel.accepted] == [("1", ORDER)]
    assert simulator.requests == 1


async def test_every_answer_of_wrong_types_is_unknown(simulator: Simulator, panel: PanelClient) -> None:
    simulator.faults.set("wrong-types", 1.0)
    for _ in range(20):
        assert isinstance(await panel.add("1", ORDER), Unknown)


async def test_a_duplicate_id_is_that_of_an_order_before(simulator: Simulator, panel: PanelClient) -> None:
    first = accepted_id(await panel.add("1", ORDER))
    await panel.statuses([first])
    simulator.faults.next("duplicate-id")
    assert accepted_id(await panel.add("2", ORDER)) == first
    assert len(simulator.panel.accepted) == 2


async def report_at_the_end(panel: PanelClient, clock: Clock) -> UpstreamReport:
    order = accepted_id(await panel.add("1", ORDER))
    clock.now += 10
    return (await panel.statuses([order]))[order]


async def test_an_order_runs_from_pending_to_completed(panel: PanelClient, clock: Clock) -> None:
    order = accepted_id(await panel.add("1", ORDER))
    seen = []
    remains = []
    for _ in range(70):
        report = (await panel.statuses([order]))[order]
        seen.append(report.status)
        remains.append(report.remains or 0)
        clock.now += 0.1
    assert list(dict.fromkeys(seen)) == [
        UpstreamStatus.PENDING,
        UpstreamStatus.IN_PROGRESS,
        UpstreamStatus.COMPLETED,
    ]
    assert remains == sorted(remains, reverse=True)
    assert (remains[0], remains[-1]) == (100, 0)


async def test_a_partial_order_is_charged_for_what_it_delivered(
    simulator: Simulator, panel: PanelClient, clock: Clock
) -> None:
    before = (await panel.balance()).balance
    simulator.faults.next("partial")
    report = await report_at_the_end(panel, clock)
    assert (report.status, report.remains, report.charge) == (UpstreamStatus.PARTIAL, 50, Decimal("0.045"))
    assert (await panel.balance()).balance == before - Decimal("0.045")


async def test_a_cancelled_order_costs_nothing(simulator: Simulator, panel: PanelClient, clock: Clock) -> None:
    before = (await panel.balance()).balance
    simulator.faults.set("cancel", 1.0)
    report = await report_at_the_end(panel, clock)
    assert (report.status, report.remains, report.charge) == (UpstreamStatus.CANCELED, 100, Decimal(0))
    assert (await panel.balance()).balance == before


async def test_a_completed_order_goes_backwards(simulator: Simulator, panel: PanelClient, clock: Clock) -> None:
    simulator.faults.set("backwards-status", 1.0)
    order = accepted_id(await panel.add("1", ORDER))
    clock.now += 10
    words = [(await panel.statuses([order]))[order].word for _ in range(5)]
    assert words == ["Completed", "Partial", "In progress", "Partial", "Partial"]
    ended = simulator.panel.end(int(order))
    assert ended is not None
    assert (ended.status, ended.remains, ended.charge) == ("Partial", 50, Decimal("0.045"))


async def test_remains_can_be_negative(simulator: Simulator, panel: PanelClient, clock: Clock) -> None:
    simulator.faults.next("negative-remains")
    assert (await report_at_the_end(panel, clock)).remains == -10


def test_each_fault_of_the_table_is_tested_here() -> None:
    assert set(FAULTS) == {*BEFORE_ACCEPTING, *AFTER_ACCEPTING, *OF_STATUS}
    assert set(OF_STATUS) == {"partial", "cancel", "backwards-status", "refill-rejected", "negative-remains"}


READS: tuple[tuple[str, Callable[[PanelClient], Awaitable[object]]], ...] = (
    ("services", PanelClient.services),
    ("status", lambda panel: panel.statuses(["1"])),
    ("balance", PanelClient.balance),
)


@pytest.mark.parametrize(("action", "read"), READS, ids=[action for action, _ in READS])
@pytest.mark.parametrize("name", ["html", "timeout-before", "reset", "redirect", "slow-drip", "http-500"])
async def test_a_read_that_gets_no_answer_says_so(
    simulator: Simulator,
    panel: PanelClient,
    action: str,
    read: Callable[[PanelClient], Awaitable[object]],
    name: str,
) -> None:
    simulator.faults.next(f"{action}:{name}")
    with pytest.raises(BadAnswer):
        await read(panel)
    await read(panel)


async def test_nothing_is_sent_where_nobody_listens() -> None:
    simulator = Simulator(key=KEY)
    url = await simulator.start()
    await simulator.stop()
    async with PanelClient(url, KEY) as panel:
        assert isinstance(await panel.add("1", ORDER), NotSent)
        with pytest.raises(UpstreamError):
            await panel.balance()


async def test_nothing_is_sent_to_a_name_or_a_certificate_that_is_not_there(simulator: Simulator) -> None:
    url = await simulator.start()
    for target in ("http://panel.invalid/api/v2", url.replace("http:", "https:")):
        async with PanelClient(target, KEY, timeout_s=4) as panel:
            assert isinstance(await panel.add("1", ORDER), NotSent)
    assert simulator.panel.accepted == []


async def test_a_wait_for_a_free_connection_that_ends_in_nothing_is_not_sent(simulator: Simulator) -> None:
    url = await simulator.start()
    simulator.faults.next("timeout-before")
    async with ClientSession(connector=TCPConnector(limit=1)) as session:
        slow = PanelClient(url, KEY, session=session, timeout_s=1.0)
        quick = PanelClient(url, KEY, session=session, timeout_s=0.2)
        hanging = asyncio.create_task(slow.add("1", ORDER))
        await until(lambda: simulator.requests)
        assert isinstance(await quick.add("1", ORDER), NotSent)
        assert isinstance(await hanging, Unknown)
    assert simulator.requests == 1


async def test_a_wrong_key_is_refused_by_the_provider(simulator: Simulator) -> None:
    async with PanelClient(await simulator.start(), "another") as panel:
        outcome = await panel.add("1", ORDER)
        with pytest.raises(UpstreamRefusal, match="Invalid API key"):
            await panel.statuses(["1", "2"])
    assert outcome == Refused(Fault.PROVIDER, "Invalid API key")


async def test_the_catalogue_has_every_kind(panel: PanelClient) -> None:
    services = await panel.services()
    assert {service.type for service in services} == {kind.value for kind in Kind}
    assert services.skipped == 0
    assert {service.type for service in services if service.dripfeed} == {"Default", "Web Traffic"}


@pytest.mark.parametrize(
    ("service", "fields", "quantity"),
    [
        ("1", {**ORDER, "runs": "3", "interval": "10"}, 300),
        ("8", {"link": "https://example.com"}, 1),
        ("10", {"link": "https://example.com", "comments": "a\nb\nc\nd\ne"}, 5),
        ("12", {"link": "https://example.com", "comments": "a\nb"}, 1),
        ("22", {**ORDER, "answer_number": "2"}, 100),
        ("24", {"username": "x", "min": "10", "max": "20", "delay": "0", "posts": "5"}, 100),
    ],
)
async def test_an_order_counts_as_its_kind_says(
    simulator: Simulator, panel: PanelClient, service: str, fields: dict[str, str], quantity: int
) -> None:
    accepted_id(await panel.add(service, fields))
    assert simulator.panel.accepted[-1].quantity == quantity


@pytest.mark.parametrize(
    ("service", "fields", "text"),
    [
        ("999", ORDER, "Incorrect service ID"),
        ("1", {**ORDER, "quantity": "1"}, "Quantity less than minimal 50"),
        ("1", {**ORDER, "quantity": "10001"}, "Quantity more than maximum 10000"),
        ("1", {"quantity": "100"}, "Incorrect link"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    panel: PanelClient, service: str, fields: dict[str, str], text: str
) -> None:
    outcome = await panel.add(service, fields)
    assert isinstance(outcome, Refused)
    assert outcome.text == text


async def test_a_fault_ends_when_the_panel_stops(simulator: Simulator) -> None:
    simulator.faults.set("timeout-after", 1.0)
    async with PanelClient(await simulator.start(), KEY, timeout_s=30) as panel:
        call = asyncio.create_task(panel.add("1", ORDER))
        await until(lambda: simulator.panel.accepted)
        await simulator.stop()
        assert isinstance(await call, Unknown)


async def test_orders_and_ids_live_on_from_the_log(tmp_path: Path, clock: Clock) -> None:
    log = tmp_path / "accepted.jsonl"
    first = Simulator(seed=3, key=KEY, accept_log=log, clock=clock)
    async with PanelClient(await first.start(), KEY) as panel:
        order = accepted_id(await panel.add("1", {**ORDER, "idempotency_key": "k1"}))
        balance = await panel.balance()
    await first.stop()
    with log.open("ab") as file:
        file.write(b'{"order":123,"serv')
    clock.now += 10
    second = Simulator(seed=3, key=KEY, accept_log=log, clock=clock)
    async with PanelClient(await second.start(), KEY) as panel:
        assert await panel.balance() == balance
        assert (await panel.statuses([order]))[order].status is UpstreamStatus.COMPLETED
        assert accepted_id(await panel.add("1", ORDER)) == str(int(order) + 1)
    await second.stop()
    lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert [line["order"] for line in lines] == [int(order), int(order) + 1]
    assert (lines[0]["idempotency_key"], lines[0]["fields"]) == ("k1", ORDER)


async def test_the_same_seed_gives_the_same_faults_and_ids() -> None:
    def rolls(seed: int) -> list[bool]:
        faults = Faults({"html": 0.5}, seed=seed)
        return [faults.fires("html") for _ in range(50)]

    assert rolls(1) == rolls(1)
    assert rolls(1) != rolls(2)
    assert 0 < sum(rolls(1)) < 50


def test_faults_of_the_command_line_are_checked() -> None:
    faults = Faults.parse(["html", "reset=0.0", "status:timeout-before=1"])
    assert faults.pick(["reset", "html"]) == "html"
    assert faults.fires("status:timeout-before")
    for text in ("htlm", "html=2", "html=often", "html=nan", "status:partial"):
        with pytest.raises(UnknownFault):
            Faults.parse([text])
    with pytest.raises(UnknownFault, match=r"timeout-before.*negative-remains"):
        Faults.parse(["nonsense"])
