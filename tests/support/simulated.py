"""A simulator over real HTTP, a client of it, and the time of day as a test wants it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from compat.client import PanelClient
from compat.simulator import Simulator
from compat.wire import Accepted, AddOutcome

KEY = "simulated-key"
ORDER = {"link": "https://example.com/p/1", "quantity": "100"}


class Clock:
    """The time of day as the test wants it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def simulator(clock: Clock, tmp_path: Path) -> AsyncIterator[Simulator]:
    simulator = Simulator(seed=7, key=KEY, accept_log=tmp_path / "accepted.jsonl", clock=clock, idempotency=True)
    yield simulator
    await simulator.stop()


@pytest.fixture
def patience_s() -> float:
    return 0.5


@pytest.fixture
async def panel(simulator: Simulator, patience_s: float) -> AsyncIterator[PanelClient]:
    url = await simulator.start()
    async with PanelClient(url, KEY, timeout_s=patience_s, max_body_bytes=65536) as panel:
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
