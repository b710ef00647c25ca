"""What is measured in turn: a server, what it is asked and how, and one sample of how it did."""

import statistics
import time
from typing import Protocol

import msgspec

from benchmarks.cores import Cores, usage
from benchmarks.load import Ask, run_closed, run_open
from benchmarks.stage import port_of
from tests.support.processes import Running


class Sample(msgspec.Struct, frozen=True):
    """`rate` is right answers a second. `cores` is what the server's process used, `strangers` what others did."""

    rate: float
    strangers: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    cores: float | None = None
    load_cores: float | None = None
    late_ms: float | None = None
    """How late the open loop sent, at the median: what of its latencies is not the server's."""

    @property
    def cost_us(self) -> float | None:
        """Processor time of the server's process for each answer, which strangers change little."""
        return self.cores / self.rate * 1e6 if self.cores else None


class Contender(Protocol):
    """`places` where each right answer is an order; `placed` counts those."""

    name: str
    places: bool
    placed: int

    async def sample(self, seconds: float) -> Sample: ...


class Asked:
    """A server asked over HTTP: in closed loops, or in an open one where `a_second` is given."""

    def __init__(
        self,
        name: str,
        server: Running,
        cores: Cores,
        ask: Ask,
        *,
        connections: int,
        places: bool = False,
        a_second: float | None = None,
    ) -> None:
        self.name, self.places = name, places
        self.placed = 0
        self._server, self._cores, self._ask = server, cores, ask
        self._connections, self._a_second = connections, a_second

    async def sample(self, seconds: float) -> Sample:
        pid, cores = self._server.popen.pid, self._cores.all
        port = port_of(self._server)
        before, own = usage(pid, cores), time.process_time()
        if self._a_second is None:
            outcome = await run_closed(port, self._ask, connections=self._connections, seconds=seconds)
        else:
            outcome = await run_open(
                port, self._ask, connections=self._connections, seconds=seconds, a_second=self._a_second
            )
        after = usage(pid, cores)
        used, strangers = after.since(before)
        if self.places:
            self.placed += outcome.right
        return Sample(
            rate=outcome.rate,
            strangers=strangers,
            p50_ms=outcome.percentile(50) * 1000,
            p99_ms=outcome.percentile(99) * 1000,
            cores=used,
            load_cores=(time.process_time() - own) / (after.at - before.at),
            late_ms=statistics.median(outcome.late_s) * 1000 if outcome.late_s else None,
        )
