"""Two simulated panels that sell the same, as routes of one service, and dispatchers at work between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from uuid import UUID

from compat.simulator import Simulator
from gateway.catalog.editing import providers, routes, services
from gateway.catalog.editing.model import ProviderEdit, ServiceEdit
from gateway.catalog.model import Service
from gateway.db.engine import Database
from gateway.dispatch.sender import Dispatcher
from gateway.egress import open_session
from gateway.keyring import Keyring
from gateway.orders.model import Order
from gateway.orders.placement import Placement
from gateway.providers import actions
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from tests.support.factories import Account, add_account, add_service, draft, read_order
from tests.support.faults import eventually

KEYRING = Keyring(("a secret that is long enough to be one",))
KEY = "a-key"
GRACE_S = 15


class Rivals:
    """Providers North and South; one service that both sell as their 1, in North at a cost of 1, in South of 2."""

    def __init__(self, db: Database, account: Account, service: Service, stack: AsyncExitStack) -> None:
        self.db, self.account, self.service, self._stack = db, account, service, stack
        self.panels: dict[str, Simulator] = {}
        self.ids: dict[str, UUID] = {}

    async def add(self, name: str, cost: str) -> None:
        panel = Simulator(key=KEY)
        url = await panel.start()
        self._stack.push_async_callback(panel.stop)
        async with self.db.transaction() as tx:
            self.ids[name] = await actions.add_provider(tx, KEYRING, name, url, KEY, Decimal(0))
            await routes.add_route(tx, self.service.number, name, "1", cost=Decimal(cost))
        self.panels[name] = panel

    async def set_provider(self, name: str, **changes: object) -> None:
        async with self.db.transaction() as tx:
            await providers.set_provider(tx, self.ids[name], ProviderEdit(**changes))  # type: ignore[arg-type]

    async def set_route(self, name: str, **changes: int) -> None:
        async with self.db.transaction() as tx:
            await routes.set_route(tx, self.service.number, name, "1", **changes)

    async def set_policy(self, policy: str) -> None:
        async with self.db.transaction() as tx:
            await services.set_service(tx, self.service.number, ServiceEdit(policy=policy))

    async def place(self, link: str, quantity: int = 100) -> Order:
        placement = Placement(self.db)
        known = Service(
            **{name: getattr(self.service, name) for name in self.service.__struct_fields__}
            | {"provider_id": self.ids["North"]}
        )
        number = await placement.place(self.account, known, draft(link=link, quantity=quantity))
        await placement.close()
        return await read_order(self.db, number)

    def taken(self, name: str) -> list[str]:
        """The links that the panel accepted."""
        return [accepted.fields["link"] for accepted in self.panels[name].panel.accepted]

    @asynccontextmanager
    async def dispatching(self, count: int = 1) -> AsyncIterator[None]:
        """So many dispatchers, each with upstreams of its own as in a process of its own."""
        async with AsyncExitStack() as stack:
            for _ in range(count):
                session = await stack.enter_async_context(open_session(allow_private=True, limit=10))
                upstreams = Upstreams(self.db, KEYRING, session, Settings())
                await upstreams.refresh()
                dispatcher = Dispatcher(self.db, upstreams, lease_s=60, first_check_s=3600)
                running = asyncio.create_task(dispatcher.run())
                stack.push_async_callback(_stop, dispatcher, running)
            yield

    def all_are(self, dispatch: str, *orders: Order) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            return {(await read_order(self.db, order.number)).dispatch.value for order in orders} == {dispatch}

        return reached

    async def send(self, *orders: Order, until: str = "accepted") -> None:
        """Dispatch until all of the orders are so; what rests is due again at once."""
        reached = self.all_are(until, *orders)

        async def hurried() -> bool:
            async with self.db.transaction() as tx:
                await tx.execute("UPDATE orders SET next_attempt_at = now() WHERE dispatch = 'queued'")
            return await reached()

        async with self.dispatching():
            await eventually(hurried)


async def _stop(dispatcher: Dispatcher, running: "asyncio.Task[None]") -> None:
    await dispatcher.stop(GRACE_S)
    await running


@asynccontextmanager
async def open_rivals(db: Database) -> AsyncIterator[Rivals]:
    async with AsyncExitStack() as stack:
        rivals = Rivals(db, await add_account(db, funds="1000"), await add_service(db, rate="3"), stack)
        await rivals.add("North", "1")
        await rivals.add("South", "2")
        yield rivals
