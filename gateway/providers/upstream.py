"""Calls to upstream panels: a client, a breaker and a bounded number of requests for each provider."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import msgspec

from compat.client import PanelClient
from compat.dialects import DIALECTS, Dialect
from compat.replies import ServiceList
from compat.wire import (
    Accepted,
    AddOutcome,
    Balance,
    CancelAnswer,
    NotSent,
    RefillAnswer,
    RefillReport,
    Refused,
    Unknown,
    UpstreamReport,
)
from gateway.db.engine import Database, forbid_transaction
from gateway.errors import NotFound
from gateway.keyring import Keyring, KeyringError
from gateway.logs import Logger
from gateway.providers import store
from gateway.providers.actions import unseal
from gateway.providers.breaker import Breaker
from gateway.providers.model import Provider
from gateway.providers.slots import Slots
from gateway.providers.words import store as words
from gateway.settings import Settings

log = Logger(__name__)

READS_MAX = 2
"""Polls and lists at once to one provider, beside its sends: one may be slow without stopping the other."""


class _Line:
    """What this process keeps of one provider between calls."""

    def __init__(self, provider: Provider, send: PanelClient, read: PanelClient, sends: Slots) -> None:
        self.provider = provider
        self.send = send
        self.read = read
        self.sends = sends
        self.reads = Slots(READS_MAX)
        self.breaker = Breaker()
        self.honours_extension = False
        self.paused_until = 0.0
        """By the monotonic clock."""


class Upstreams:
    """Every provider's panel. `refresh` first, and again each few seconds.

    Sends and polls have slots of their own, so that neither starves the other. A call of any kind
    works for a provider that is off or paused: only `ready` leaves it out. Bounds are this
    process's own.
    """

    def __init__(self, db: Database, keyring: Keyring, session: aiohttp.ClientSession, settings: Settings) -> None:
        self.settings = settings
        self._db = db
        self._keyring = keyring
        self._session = session
        self._lines: dict[UUID, _Line] = {}
        self._unusable: set[UUID] = set()

    async def refresh(self) -> None:
        """Read the providers again. One with another key or URL gets a new client and a closed breaker.

        A provider whose key cannot be opened, or whose URL is none, is left out and logged once; the
        others go on.

        Raises:
            Unavailable: the database does not answer; what was known stays.
        """
        async with self._db.connection() as connection:
            rows = await store.list_all(connection)
            taught = await words.load(connection)
        lines: dict[UUID, _Line] = {}
        for row in rows:
            try:
                lines[row.id] = self._line(unseal(self._keyring, row))
            except (KeyringError, ValueError) as error:
                if row.id not in self._unusable:
                    log.error("provider cannot be used", provider=row.name, reason=str(error))
                    self._unusable.add(row.id)
                continue
            self._unusable.discard(row.id)
            self._set_extension(lines[row.id], row.honours_extension)
            lines[row.id].send.taught = lines[row.id].read.taught = taught.get(row.id, {})
            lines[row.id].paused_until = time.monotonic() + (row.pause_left_s or 0.0)
        self._lines = lines

    def ready(self) -> dict[UUID, int]:
        """How many sends each provider takes now, 0 where it is busy; those off, paused or broken are left out."""
        now = time.monotonic()
        return {
            provider_id: line.breaker.admits(line.sends.free)
            for provider_id, line in self._lines.items()
            if line.provider.is_active and line.paused_until <= now and line.breaker.admits(1)
        }

    def broken(self) -> list[UUID]:
        """Providers on and not paused whose breaker, this process's own, admits nothing now."""
        now = time.monotonic()
        return [
            provider_id
            for provider_id, line in self._lines.items()
            if line.provider.is_active and line.paused_until <= now and not line.breaker.admits(1)
        ]

    def active(self) -> list[UUID]:
        """Providers that are on, paused ones too."""
        return [provider_id for provider_id, line in self._lines.items() if line.provider.is_active]

    def provider(self, provider_id: UUID) -> Provider:
        """Raises NotFound where `refresh` has not seen it, or could not use its key or URL."""
        return self._get(provider_id).provider

    async def add(
        self,
        provider_id: UUID,
        service: str,
        fields: Mapping[str, str],
        *,
        may_start: Callable[[float], bool] = lambda _: True,
    ) -> AddOutcome:
        """Place one order there; nothing is ever retried. Not sent where no slot comes free in time.

        The wait for a slot and the call together end well within the send's lease; `may_start` is
        asked last, with the seconds that the call may take, before the socket opens.
        """
        forbid_transaction()
        line = self._lines.get(provider_id)
        if line is None:
            return NotSent("no such provider, or its key cannot be opened")
        wait_s = (self.settings.send_lease_s - self.settings.send_timeout_s) / 2
        if not line.sends.take():
            try:
                async with asyncio.timeout(wait_s):
                    await line.sends.acquire()
            except TimeoutError:
                return NotSent(f"no free slot within {wait_s:g} s")
        try:
            if not may_start(self.settings.send_timeout_s):
                return NotSent("too late: the lease would end before the answer")
            return await _guarded(line, service, fields)
        finally:
            line.sends.release()

    async def statuses(self, provider_id: UUID, ids: Sequence[str]) -> dict[str, UpstreamReport]:
        """What the upstream says of at most 100 of its orders; those it leaves out are left out.

        A charge in another currency than the provider's is left out too: no cost of ours is in it.

        Raises:
            NotFound: no such provider.
            compat.client.UpstreamError: no answer; nothing then is known of any of them.
        """
        async with self._reading(provider_id) as client:
            reports = await client.statuses(ids)
        currency = self.provider(provider_id).currency
        return {upstream_id: _charged_in(currency, report) for upstream_id, report in reports.items()}

    async def refill(self, provider_id: UUID, order: str) -> RefillAnswer:
        """Raises as `statuses`; it may have been taken all the same."""
        async with self._reading(provider_id) as client:
            return await client.refill(order)

    async def refill_statuses(self, provider_id: UUID, refills: Sequence[str]) -> dict[str, RefillReport]:
        """Raises as `statuses`."""
        async with self._reading(provider_id) as client:
            return await client.refill_statuses(refills)

    async def cancel(self, provider_id: UUID, orders: Sequence[str]) -> dict[str, CancelAnswer]:
        """Raises as `statuses`; the wish may have been taken all the same."""
        async with self._reading(provider_id) as client:
            return await client.cancel(orders)

    async def services(self, provider_id: UUID) -> ServiceList:
        """Raises as `statuses`."""
        async with self._reading(provider_id) as client:
            return await client.services()

    async def balance(self, provider_id: UUID) -> Balance:
        """What we can spend there, and whether it honours the extension. Raises as `statuses`."""
        async with self._reading(provider_id) as client:
            return await client.balance()

    @asynccontextmanager
    async def _reading(self, provider_id: UUID) -> AsyncIterator[PanelClient]:
        forbid_transaction()
        line = self._get(provider_id)
        await line.reads.acquire()
        try:
            yield line.read
        finally:
            line.reads.release()

    def _set_extension(self, line: _Line, honours_extension: bool) -> None:
        if honours_extension != line.honours_extension:
            line.honours_extension = honours_extension
            line.send = self._client(line.provider, self.settings.send_timeout_s, honours_extension)

    def _get(self, provider_id: UUID) -> _Line:
        line = self._lines.get(provider_id)
        if line is None:
            raise NotFound(f"provider {provider_id}")
        return line

    def _line(self, provider: Provider) -> _Line:
        limit = provider.max_in_flight or self.settings.provider_max_in_flight
        old = self._lines.get(provider.id)
        if old is not None and _address(old.provider) == _address(provider):
            old.provider = provider
            old.sends.limit = limit
            old.sends.wake()
            return old
        return _Line(
            provider,
            self._client(provider, self.settings.send_timeout_s),
            self._client(provider, self.settings.poll_timeout_s),
            Slots(limit),
        )

    def _client(self, provider: Provider, timeout_s: float, honours_extension: bool = False) -> PanelClient:
        return PanelClient(
            provider.api_endpoint,
            provider.api_key,
            session=self._session,
            timeout_s=timeout_s,
            honours_extension=honours_extension,
            dialect=_dialect_of(provider),
        )


def _address(provider: Provider) -> tuple[str, str, str]:
    return provider.api_endpoint, provider.api_key, provider.dialect


def _charged_in(currency: str, report: UpstreamReport) -> UpstreamReport:
    """The report, without a charge that is in another currency."""
    return report if report.currency in (None, currency) else msgspec.structs.replace(report, charge=None)


def _dialect_of(provider: Provider) -> Dialect:
    """Raises ValueError for a stored name that this version does not know."""
    if provider.dialect not in DIALECTS:
        raise ValueError(f"the dialect {provider.dialect} is not known here")
    return DIALECTS[provider.dialect]


async def _guarded(line: _Line, service: str, fields: Mapping[str, str]) -> AddOutcome:
    """The call, counted by the breaker; one that is cancelled tells it nothing."""
    if not line.breaker.enter():
        return NotSent("the breaker is open")
    outcome: AddOutcome | None = None
    try:
        outcome = await line.send.add(service, fields)
    finally:
        match outcome:
            case Accepted() | Refused():
                line.breaker.succeeded()
            case NotSent() | Unknown():
                line.breaker.failed()
            case None:
                line.breaker.abandoned()
    return outcome
