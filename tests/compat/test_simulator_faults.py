"""Every fault of the simulator, over real HTTP, has its written outcome in the client."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from compat.client import PanelClient
from compat.errors import Fault
from compat.failures import BadAnswer
from compat.simulator import FAULTS, Faults, Simulator, UnknownFault
from compat.simulator.faults import AFTER_ACCEPTING, BEFORE_ACCEPTING, OF_STATUS
from compat.status import UpstreamStatus
from compat.wire import Refused, Unknown, UpstreamReport
from tests.support.simulated import KEY, ORDER, Clock, accepted_id, clock, panel, patience_s, simulator, until

__all__ = ["clock", "panel", "patience_s", "simulator"]

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


async def test_a_fault_ends_when_the_panel_stops(simulator: Simulator) -> None:
    simulator.faults.set("timeout-after", 1.0)
    async with PanelClient(await simulator.start(), KEY, timeout_s=30) as panel:
        call = asyncio.create_task(panel.add("1", ORDER))
        await until(lambda: simulator.panel.accepted)
        await simulator.stop()
        assert isinstance(await call, Unknown)


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
