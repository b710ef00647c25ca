"""Runs that an upstream began are asked about in turn with everything else, and a provider that cannot is let rest."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from compat.failures import UpstreamError
from compat.wire import UpstreamReport
from gateway.db.engine import Database
from gateway.orders.model import Order
from gateway.tracking import store
from gateway.tracking.poller import Poller
from tests.support.factories import Shop, add_shop
from tests.support.families import accept, drip, place, said


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db, funds="1000")


async def native(db: Database, shop: Shop, upstream_id: str) -> Order:
    parent = await place(db, shop, drip(runs=2), native=True)
    await accept(db, shop, parent, upstream_id)
    return parent


class Upstream:
    """Says the same of each order at each poll. Each call but the first stays a while for another to come."""

    def __init__(self, answers: Mapping[str, UpstreamReport]) -> None:
        self._answers = answers
        self.asked: list[str] = []
        self._under_way = 0
        self.met = asyncio.Event()
        """Two calls were under way together."""

    async def statuses(self, _provider_id: UUID, ids: Sequence[str]) -> dict[str, UpstreamReport]:
        self.asked += ids
        self._under_way += 1
        if self._under_way > 1:
            self.met.set()
        if len(self.asked) > 1:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.met.wait(), 0.3)
        self._under_way -= 1
        if not self._answers.keys() >= set(ids):
            raise UpstreamError("it does not answer")
        return {order: self._answers[order] for order in ids}


def poller_of(db: Database, upstream: Upstream) -> Poller:
    return Poller(db, upstream, check_interval_min_s=60, check_interval_max_s=60)  # type: ignore[arg-type]


async def test_runs_are_asked_about_when_no_other_batch_is(
    db: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BATCH_MAX", 1)
    for name in ("a", "b"):
        await native(db, shop, name)
    runs = {"a1": said("Completed"), "b1": said("Completed")}
    parents = {name: said("In progress", orders=(f"{name}1",)) for name in ("a", "b")}
    upstream = Upstream(parents | runs)
    await poller_of(db, upstream)._poll(shop.provider_id)
    assert set(upstream.asked) == {"a", "a1", "b", "b1"}
    assert not upstream.met.is_set(), "one call at a time"


async def test_a_provider_whose_runs_cannot_be_asked_about_rests_ever_longer(db: Database, shop: Shop) -> None:
    parent = await native(db, shop, "a")
    poller = poller_of(db, Upstream({"a": said("In progress", orders=("a1",))}))
    rests = []
    for _ in range(3):
        async with db.transaction() as tx:
            await tx.execute("UPDATE order_checks SET next_check_at = now() WHERE order_id = $1", parent.id)
        await poller._poll(shop.provider_id)
        _, rest_s = poller._rests[shop.provider_id]
        rests.append(rest_s)
        poller._rests[shop.provider_id] = (0.0, rest_s)
    assert rests == [1, 2, 4]
