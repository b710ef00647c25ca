"""`/v1/orders/batch`: up to a thousand orders in a call, each for itself."""

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from compat.errors import PanelError
from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.drafting import NewOrder, fields_of
from gateway.api.v1.operations import operation
from gateway.api.v1.problems import Problem, problem_of
from gateway.api.v1.resources.orders import Order, as_placed, place
from gateway.errors import GatewayError
from gateway.orders.ordering import Ordered
from gateway.orders.replays.model import replay_of

ORDERS_MAX = 1000
AT_ONCE = 100
"""Of one request, so that it does not fill the queue that all requests share."""


class NewOrders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Orders to be placed, each for itself."""

    orders: Annotated[list[NewOrder], Meta(min_length=1, max_length=ORDERS_MAX)]


class Outcome(msgspec.Struct, frozen=True):
    """What became of one order of several: the order, or why it was not placed."""

    order: Order | None
    problem: Problem | None


class Outcomes(msgspec.Struct, frozen=True):
    """In the order in which they were asked for."""

    data: list[Outcome]


@operation(
    "POST",
    "/orders/batch",
    scope=Scope.ORDERS_WRITE,
    tag="orders",
    example={"orders": [{"service": 1, "link": "https://example.com/p/1", "quantity": 100}]},
    returns=Outcomes,
    refuses=(errors.IdempotencyMismatch,),
)
async def create_orders(call: Call, body: NewOrders) -> Reply:
    """Place up to 1000 orders, each with its own outcome.

    One that is refused does not touch the others. With an `Idempotency-Key` the request can be sent
    again safely: what was placed is answered as it was placed, what was refused is tried again.
    """
    is_replay = await _open_batch(call)
    outcomes: list[Ordered | GatewayError | PanelError] = []
    for start in range(0, len(body.orders), AT_ONCE):
        part = body.orders[start : start + AT_ONCE]
        outcomes += await asyncio.gather(*(_try(call, new, start + index) for index, new in enumerate(part)))
    placed = await as_placed(call, [outcome for outcome in outcomes if isinstance(outcome, Ordered)])
    told = [
        Outcome(placed[outcome.number][0], None)
        if isinstance(outcome, Ordered)
        else Outcome(None, problem_of(outcome, f"$.orders[{index}]"))
        for index, outcome in enumerate(outcomes)
    ]
    return Reply(Outcomes(told), 200, once.REPLAYED if is_replay else {})


async def _try(call: Call, new: NewOrder, index: int) -> Ordered | GatewayError | PanelError:
    replay = once.replay_of(call, f":{index}") or replay_of(call.account, str(new.service), fields_of(new))
    try:
        return await place(call, new, replay, f"$.orders[{index}]")
    except (GatewayError, PanelError) as refusal:
        return refusal


async def _open_batch(call: Call) -> bool:
    """Keep what the key of a batch stands for, before any of it is placed; whether it came before."""
    replay = once.replay_of(call)
    return replay is not None and await once.remember(call, replay)


OPERATIONS = [create_orders]
