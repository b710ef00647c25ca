"""The whole catalogue in memory, read again when it changed."""

from uuid import UUID

import msgspec

from gateway.batching import Batcher
from gateway.catalog import store
from gateway.catalog.model import Service
from gateway.catalog.prices import store as prices
from gateway.catalog.prices.model import Tariff
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import GatewayError

CHANNEL = "catalog_changed"
_WAITING_MAX = 10_000


class _Snapshot(msgspec.Struct, frozen=True):
    services: list[Service]
    by_number: dict[int, Service]
    sold: dict[str, list[Service]]
    tariffs: dict[UUID, Tariff]


class Catalog:
    """Knows the catalogue by heart, as long as the listener would hear of its changes.

    To be made before the listener starts. While the listener is not healthy every question reads
    the database; questions that wait at the same moment share one read.
    """

    def __init__(self, db: Database, listener: Listener) -> None:
        self._db = db
        self._listener = listener
        self._kept: _Snapshot | None = None
        self._last: _Snapshot | None = None
        self._generation = 0
        self._version = 0
        self._reads: Batcher[None, _Snapshot] = Batcher(
            self._read, max_batch=_WAITING_MAX, max_waiting=_WAITING_MAX, name="catalogue"
        )
        listener.on(CHANNEL, self._drop)
        listener.on_reconnect(self._drop)

    @property
    def version(self) -> int:
        """Goes up at every change that was heard of or read.

        What is made of the services is kept under the version from before they were asked for, and
        they are asked for each time: unheard changes show only there.
        """
        return self._version

    async def service(self, number: int) -> Service | None:
        """The service with that number, on sale or not.

        Raises:
            Unavailable: the database does not answer, or too many wait for it.
        """
        return (await self._snapshot()).by_number.get(number)

    async def sold_in(self, currency: str) -> list[Service]:
        """What is on sale in the currency, by number; not to be changed.

        Raises:
            Unavailable: as `service`.
        """
        return (await self._snapshot()).sold.get(currency, [])

    async def priced(self, number: int, user_id: UUID) -> Service | None:
        """As `service`, at the user's own price; both of one moment."""
        snapshot = await self._snapshot()
        service, tariff = snapshot.by_number.get(number), snapshot.tariffs.get(user_id)
        if service is None or tariff is None:
            return service
        return msgspec.structs.replace(service, rate=tariff.rate_of(service.id, service.rate))

    async def sold_to(self, user_id: UUID, currency: str) -> tuple[list[Service], Tariff | None]:
        """As `sold_in`, with the user's own prices, None where he has none; both of one moment."""
        snapshot = await self._snapshot()
        return snapshot.sold.get(currency, []), snapshot.tariffs.get(user_id)

    async def tariff_of(self, user_id: UUID) -> Tariff | None:
        """The user's own prices, None where he has none.

        Raises:
            Unavailable: as `service`.
        """
        return (await self._snapshot()).tariffs.get(user_id)

    async def close(self) -> None:
        """Wait until the reads under way are answered."""
        await self._reads.close()

    async def _snapshot(self) -> _Snapshot:
        return self._usable() or await self._reads.submit(None)

    def _usable(self) -> _Snapshot | None:
        return self._kept if self._listener.healthy else None

    def _drop(self, payload: str = "") -> None:
        self._generation += 1
        self._version += 1
        self._kept = None

    async def _read(self, waiting: list[None]) -> list[_Snapshot | GatewayError]:
        usable = self._usable()
        if usable is not None:
            return [usable] * len(waiting)
        generation, heard = self._generation, self._listener.healthy
        async with self._db.connection() as connection:
            services = await store.list_services(connection)
            tariffs = await prices.list_tariffs(connection)
        snapshot = self._last
        if snapshot is None or snapshot.services != services:
            snapshot = self._last = _arrange(services, tariffs)
            self._version += 1
        elif snapshot.tariffs != tariffs:
            snapshot = self._last = msgspec.structs.replace(snapshot, tariffs=tariffs)
            self._version += 1
        if heard and generation == self._generation:
            self._kept = snapshot
        return [snapshot] * len(waiting)


def _arrange(services: list[Service], tariffs: dict[UUID, Tariff]) -> _Snapshot:
    sold: dict[str, list[Service]] = {}
    for service in services:
        if service.is_active:
            sold.setdefault(service.currency, []).append(service)
    return _Snapshot(services, {service.number: service for service in services}, sold, tariffs)
