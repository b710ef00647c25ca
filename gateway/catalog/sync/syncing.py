"""The sync of one provider, by hand or when it is due: all of it or nothing."""

import asyncio
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from compat.failures import UpstreamError
from compat.replies import ServiceList
from gateway.catalog import store as catalog
from gateway.catalog.prices import store as prices
from gateway.catalog.prices.model import Pricing
from gateway.catalog.sync import store
from gateway.catalog.sync.offers import offers_of
from gateway.catalog.sync.plan import Imported, Line, NewOffer, Plan, is_shrunk, keepable, make_plan
from gateway.catalog.sync.store import Guards, NewService
from gateway.catalog.words import platform_of, type_of
from gateway.db.engine import Database, Transaction
from gateway.errors import GatewayError, NotFound, ProviderFailed
from gateway.logs import Logger
from gateway.providers import store as provider_store
from gateway.providers.upstream import Upstreams

log = Logger(__name__)

RETRY_S = 300.0
"""How soon a sync that failed is tried again, where the interval is not shorter."""
AT_ONCE = 8


class SyncResult(msgspec.Struct, frozen=True):
    """How many rows of the upstream each thing happened to, and each difference in words.

    One that is listed again counts as changed; `quarantined` ones are among the changed.
    """

    new: int
    changed: int
    vanished: int
    quarantined: int
    skipped: int
    lines: list[Line]


async def sync_provider(
    db: Database,
    upstreams: Upstreams,
    provider_id: UUID,
    *,
    dry_run: bool = False,
    hold_new: bool = False,
    accept_shrunk: bool = False,
) -> SyncResult:
    """Bring our catalogue up to what the provider lists, all of it or nothing; `dry_run` only compares.

    The list is fetched before the transaction opens. What vanished goes off sale and is never
    deleted. A new service is on sale at once unless `hold_new` or the provider says otherwise. A list
    with less than half of what was listed before is refused unless `accept_shrunk`. Nothing new writes
    nothing of the catalogue. What changes is the upstream's doing, and is not audited as an operator's.

    Raises:
        NotFound: no such provider.
        ProviderFailed: the upstream did not answer, listed nothing that can be sold, or a list that shrank.
    """
    db = db.acting_as("")
    try:
        return await _sync(db, upstreams, provider_id, dry_run, hold_new, accept_shrunk)
    except GatewayError as error:
        if not dry_run:
            await _note(db, provider_id, str(error))
        raise


async def want_sync(tx: Transaction, provider_id: UUID, *, accept_shrunk: bool) -> None:
    """Ask the worker for a sync at once, also of a provider that is off or was never synced."""
    await store.want(tx, provider_id, "shrunk" if accept_shrunk else "usual")


async def sync_due(db: Database, upstreams: Upstreams, interval_s: float) -> int:
    """Sync what is due, side by side, so that none waits for another or fails with it; how many went well."""
    async with db.transaction() as tx:
        due = await store.claim_due(tx, interval_s, RETRY_S, AT_ONCE)
    if any(wanted for _, wanted in due):  # the provider may be younger than what is known of them here
        await upstreams.refresh()

    async def sync(provider_id: UUID, wanted: str | None) -> bool:
        try:
            result = await sync_provider(db, upstreams, provider_id, accept_shrunk=wanted == "shrunk")
        except GatewayError as error:
            log.warning("not synced", provider=str(provider_id), error=str(error))
            return False
        except Exception:  # one provider's list must not stop those of the others; operators see the note
            log.exception("a sync failed", provider=str(provider_id))
            await _note(db, provider_id, "it failed by an error of the gateway; its log has more")
            return False
        log.info("synced", provider=str(provider_id), new=result.new, changed=result.changed, vanished=result.vanished)
        return True

    return sum(await asyncio.gather(*(sync(provider_id, wanted) for provider_id, wanted in due)))


async def _note(db: Database, provider_id: UUID, error: str) -> None:
    async with db.transaction() as tx:
        await store.note_result(tx, provider_id, error[:1000])


async def _sync(
    db: Database, upstreams: Upstreams, provider_id: UUID, dry_run: bool, hold_new: bool, accept_shrunk: bool
) -> SyncResult:
    name = upstreams.provider(provider_id).name
    try:
        rows = await upstreams.services(provider_id)
    except UpstreamError as error:
        raise ProviderFailed(f"provider {name} did not list its services: {error}") from error
    async with db.transaction() as tx:
        if not dry_run and await provider_store.lock(tx, provider_id) is None:
            raise NotFound(f"provider {name}")
        plan, skipped = await _compare(tx, provider_id, name, rows, accept_shrunk=accept_shrunk)
        if not dry_run:
            held = hold_new or (await store.guards_of(tx, provider_id)).hold_new
            await _write(tx, provider_id, plan, currency=upstreams.settings.currency, hold_new=held)
            await store.note_result(tx, provider_id, None)
    return SyncResult(len(plan.new), plan.changed, plan.gone, plan.quarantined, skipped, plan.lines)


async def _compare(
    tx: Transaction, provider_id: UUID, name: str, rows: ServiceList, *, accept_shrunk: bool
) -> tuple[Plan, int]:
    """The plan, and how many rows of the list cannot be sold; reckoned in a thread: 10 000 rows take a second."""
    pricing = await prices.pricing_of(tx, provider_id)
    guards = await store.guards_of(tx, provider_id)
    imported = await store.list_imported(tx, provider_id)
    return await asyncio.to_thread(_reckon, name, rows, imported, pricing, guards, accept_shrunk)


def _reckon(
    name: str, rows: ServiceList, imported: list[Imported], pricing: Pricing, guards: Guards, accept_shrunk: bool
) -> tuple[Plan, int]:
    sellable, skipped = offers_of(rows)
    offers = keepable(imported, sellable, pricing)
    skipped += len(sellable) - len(offers) + rows.skipped
    if not offers:
        listed = len(rows) + rows.skipped
        raise ProviderFailed(f"provider {name} lists no service that can be sold, of {listed}; nothing was changed")
    if is_shrunk(imported, offers) and not accept_shrunk:
        before = sum(row.is_listed for row in imported)
        raise ProviderFailed(
            f"provider {name} lists less than half of the {before} services that it listed before; nothing was "
            "changed (where that is meant, sync with --accept-shrunk)"
        )
    return make_plan(imported, offers, pricing, guards.price_guard_percent), skipped


async def _write(tx: Transaction, provider_id: UUID, plan: Plan, *, currency: str, hold_new: bool) -> None:
    if not (plan.new or plan.services or plan.routes):
        return
    await store.lock_shared(tx, provider_id)
    await store.insert(
        tx, provider_id, [_new_service(new) for new in plan.new], currency=currency, is_offered=not hold_new
    )
    await store.update_services(tx, plan.services)
    await store.update_routes(tx, plan.routes)
    await catalog.refresh_sale(tx, provider_id=provider_id)


def _new_service(new: NewOffer) -> NewService:
    category, name = new.offer.terms.category, new.offer.terms.name
    return NewService(uuid7(), uuid7(), platform_of(category, name), type_of(category, name), new)
