"""Which requests of a batch were placed before, and which are copies of one another."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction
from gateway.errors import GatewayError, IdempotencyMismatch, Unavailable
from gateway.orders import store
from gateway.orders.decisions import Placing
from gateway.orders.replays import store as replays


class Copy(msgspec.Struct, frozen=True):
    """Stands for the answer of another request of the same batch."""

    first: Placing


Answer = int | GatewayError | Copy


def found_on_record(
    placing: Placing, numbers: dict[UUID, int], known: dict[tuple[UUID, str], tuple[bytes, UUID | None]]
) -> int | GatewayError | None:
    """What is on record of one order, or of the first that its request placed."""
    if placing.new.order.id in numbers:
        return numbers[placing.new.order.id]
    owner = placing.owner
    if owner is None or placing.replay is None or owner not in known:
        return None
    fields_hash, order_id = known[owner]
    if order_id is None or fields_hash != placing.replay.fields_hash:
        return IdempotencyMismatch()
    return numbers.get(order_id)


async def recall(tx: Transaction, batch: Sequence[Placing]) -> dict[UUID, Answer]:
    """Claim the keys of the batch; the answers, by new order, of requests that were placed before.

    A copy of a request of this same batch has the number of its first one's order still to come: it is
    left out of what is to be written, and `with_copies` answers it.
    """
    first: dict[tuple[UUID, str], Placing] = {}
    for placing in batch:
        if placing.owner is not None:
            first.setdefault(placing.owner, placing)
    if not first:
        return {}
    claimed = await replays.claim(
        tx, {owner: (placing.replay, placing.new.order.id) for owner, placing in first.items() if placing.replay}
    )
    known = await replays.find(tx, [owner for owner in first if owner not in claimed])
    numbers = await store.numbers_of(tx, [order_id for _, order_id in known.values() if order_id])
    answers: dict[UUID, Answer] = {}
    for placing in batch:
        owner = placing.owner
        if owner is None:
            continue
        if owner in claimed and first[owner] is not placing:
            answers[placing.new.order.id] = Copy(first[owner])
        elif owner not in claimed:
            lost = Unavailable("the order of this key is not there yet", placed=False)
            answers[placing.new.order.id] = found_on_record(placing, numbers, known) or lost
    return answers


def with_copies(batch: Sequence[Placing], answers: dict[UUID, Answer]) -> list[int | GatewayError]:
    """The answers in the batch's order, each copy with that of its first."""
    given: list[int | GatewayError] = []
    for placing in batch:
        answer = answers[placing.new.order.id]
        if isinstance(answer, Copy):
            first, replay = answer.first, placing.replay
            same = first.replay and replay and first.replay.fields_hash == replay.fields_hash
            answer = answers[first.new.order.id] if same else IdempotencyMismatch()
        assert not isinstance(answer, Copy), "the first request of a key is no copy"
        given.append(answer)
    return given
