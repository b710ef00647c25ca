"""A worker is killed at random while events go out: each is delivered, under one id, in order for its object."""

import asyncio
import os
import random
from pathlib import Path
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.events import store as events
from gateway.events.store import Event
from gateway.keyring import Keyring
from gateway.webhooks import endpoints
from tests.support.hooks import TOLD, add_owner, receiving
from tests.support.processes import SECRET, Installation, eventually, running_processes

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
EVENTS = int(os.environ.get("CHAOS_EVENTS", "10000"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
OBJECTS = 100
WITHIN_S = 120.0

pytestmark = pytest.mark.timeout(240 + 60 * ROUNDS)


async def tell_in_turn(db: Database, owner: UUID, things: list[UUID], most: int) -> None:
    """Write so many events, a hundred objects in turn."""
    for _ in range(0, most, OBJECTS):
        async with db.transaction() as tx:
            await events.insert(tx, [Event("order.processing", owner, "order", each, TOLD) for each in things])


async def test_a_worker_killed_at_random_loses_no_event_and_no_order(
    tmp_path: Path, database_url: str, redis_url: str, db: Database
) -> None:
    choose = random.Random(SEED)
    owner, things = await add_owner(db), [uuid7() for _ in range(OBJECTS)]
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url)
        async with receiving() as receiver:
            async with db.transaction() as tx:
                await endpoints.create(
                    tx, Keyring((SECRET,)), owner, url=receiver.url, wanted=["order.*"], description=None,
                    allow_private=True,
                )  # fmt: skip
            worker = gateway.work()
            writing = asyncio.create_task(tell_in_turn(db, owner, things, EVENTS))
            for round_ in range(ROUNDS):
                goal = EVENTS * (round_ + choose.uniform(0.2, 0.9)) / (ROUNDS + 1)

                async def has_taken(goal: float = goal) -> bool:
                    return len(receiver.calls) >= goal

                await eventually(has_taken, what="deliveries before the kill", within_s=WITHIN_S)
                worker.kill()
                async with db.transaction() as tx:  # as if its leases were over
                    await tx.execute("UPDATE webhook_queue SET leased_until = now() WHERE leased_until > now()")
                worker = gateway.work()
            await writing

            async def all_taken() -> bool:
                async with db.connection() as connection:
                    waits = await connection.fetchval(
                        "SELECT EXISTS (SELECT FROM webhook_queue) OR EXISTS (SELECT FROM event_outbox)"
                    )
                return not waits

            await eventually(all_taken, what="every delivery", within_s=WITHIN_S)
            worker.ask_to_stop()
    first = {object_id: list(dict.fromkeys(seen)) for object_id, seen in receiver.sequences().items()}
    assert first == {str(each): list(range(1, EVENTS // OBJECTS + 1)) for each in things}
    ids = {(message["object"]["id"], message["sequence"]): set() for message in receiver.messages()}
    for headers, message in zip((headers for headers, _ in receiver.calls), receiver.messages(), strict=True):
        ids[message["object"]["id"], message["sequence"]].add((headers["webhook-id"], message["id"]))
    assert {len(each) for each in ids.values()} == {1}
