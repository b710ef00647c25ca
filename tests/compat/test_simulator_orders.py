"""What the simulator sells and takes over real HTTP, and that nothing is sent where it is not to be reached."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, TCPConnector

from compat.client import PanelClient
from compat.errors import Fault
from compat.failures import UpstreamError, UpstreamRefusal
from compat.kinds import Kind
from compat.simulator import Simulator
from compat.status import UpstreamStatus
from compat.wire import NotSent, Refused, Unknown
from tests.support.simulated import KEY, ORDER, Clock, accepted_id, clock, panel, patience_s, simulator, until

__all__ = ["clock", "panel", "patience_s", "simulator"]


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
