"""Taking over what an upstream lists: new services, changed ones, and those that are gone."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from compat import wire
from compat.failures import UpstreamError
from compat.kinds import parse_kind
from compat.money import LIMIT, round8
from gateway.catalog import store
from gateway.catalog.model import Offer, Terms, price_with_markup, quantities_of
from gateway.catalog.store import VANISHED, VANISHED_UNSOLD, Imported, NewService
from gateway.catalog.words import platform_of, type_of
from gateway.db.engine import Database, Transaction
from gateway.errors import Conflict, NotFound, Unavailable
from gateway.providers import store as provider_store
from gateway.providers.upstream import Upstreams

NAME_CHARS_MAX = 255
UPSTREAM_ID_CHARS_MAX = 64
OTHER_CATEGORY = "Other"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class SyncResult(msgspec.Struct, frozen=True):
    """How many services each thing happened to; one that is listed again counts as changed."""

    new: int
    changed: int
    vanished: int
    skipped: int


class Plan(msgspec.Struct, frozen=True):
    """What is to be written so that our rows say what the upstream lists."""

    new: list[Offer]
    terms: list[tuple[UUID, Terms]]
    costs: list[tuple[UUID, Decimal]]
    back: list[Imported]
    gone: list[Imported]
    changed: int


async def sync_provider(
    db: Database, upstreams: Upstreams, provider_id: UUID, *, dry_run: bool, hold_new: bool
) -> SyncResult:
    """Bring our catalogue up to what the provider lists, all of it or nothing; `dry_run` only counts.

    The list is fetched before the transaction opens. What vanished is switched off and never
    deleted. A new service is on sale at once unless `hold_new`. Nothing new writes nothing.

    Raises:
        NotFound: no such provider.
        Unavailable: the upstream did not answer, or listed nothing that can be sold.
        Conflict: the provider's prices are in another currency than ours.
    """
    provider = upstreams.provider(provider_id)
    currency = upstreams.settings.currency
    if provider.currency != currency:
        raise Conflict(f"provider {provider.name} has its prices in {provider.currency}, and we sell in {currency}")
    try:
        rows = await upstreams.services(provider_id)
    except UpstreamError as error:
        raise Unavailable(f"provider {provider.name} did not list its services: {error}") from error
    async with db.transaction() as tx:
        locked = await provider_store.lock(tx, provider_id)
        if locked is None:
            raise NotFound(f"provider {provider.name}")
        offers, skipped = offers_of(rows, locked.markup_percent)
        if not offers:
            raise Unavailable(
                f"provider {provider.name} lists no service that can be sold, of {len(rows) + rows.skipped}; "
                "nothing was changed"
            )
        plan = make_plan(await store.list_imported(tx, provider_id), offers)
        if not dry_run:
            await _write(tx, provider_id, plan, currency=currency, hold_new=hold_new)
    return SyncResult(len(plan.new), plan.changed, len(plan.gone), skipped + rows.skipped)


def offers_of(rows: Iterable[wire.Service], markup_percent: Decimal) -> tuple[dict[str, Offer], int]:
    """What can be sold of an upstream's list, by its id there, and how many rows cannot."""
    offers: dict[str, Offer] = {}
    skipped = 0
    for row in rows:
        offer = offer_of(row, markup_percent)
        if offer is None or offer.provider_service_id in offers:
            skipped += 1
        else:
            offers[offer.provider_service_id] = offer
    return offers, skipped


def offer_of(row: wire.Service, markup_percent: Decimal) -> Offer | None:
    """The row as we can sell it.

    None where its kind is not in the protocol, its quantities make no sense or its price cannot be kept.
    """
    kind = parse_kind(row.type)
    upstream_id = str(row.service)
    if kind is None or not 0 < len(upstream_id) <= UPSTREAM_ID_CHARS_MAX:
        return None
    quantities = quantities_of(kind, row.min, row.max)
    cost = round8(row.rate)
    price = price_with_markup(cost, markup_percent)
    if quantities is None or not 0 <= cost < LIMIT or not 0 <= price < LIMIT:
        return None
    terms = Terms(
        name=_line(row.name) or f"Service {upstream_id}",
        description=_UNPRINTABLE.sub("", row.desc).strip() or None,
        category=_line(row.category) or OTHER_CATEGORY,
        kind=kind,
        price=price,
        min_quantity=quantities[0],
        max_quantity=quantities[1],
        refill=row.refill,
        cancel=row.cancel,
        dripfeed=row.dripfeed,
    )
    return Offer(upstream_id, cost, terms)


def _line(text: str) -> str:
    return " ".join(_UNPRINTABLE.sub("", text).split())[:NAME_CHARS_MAX]


def make_plan(imported: Iterable[Imported], offers: Mapping[str, Offer]) -> Plan:
    """The difference between our rows and what is offered; pure."""
    plan = Plan([], [], [], [], [], 0)
    known: set[str] = set()
    changed = 0
    for row in imported:
        known.add(row.provider_service_id)
        offer = offers.get(row.provider_service_id)
        if offer is None:
            if row.is_listed:
                plan.gone.append(row)
            continue
        back = not row.is_listed and row.off_reason in (VANISHED, VANISHED_UNSOLD)
        if back:
            plan.back.append(row)
        if row.terms != offer.terms:
            plan.terms.append((row.service_id, offer.terms))
        if row.cost != offer.cost:
            plan.costs.append((row.route_id, offer.cost))
        changed += back or row.terms != offer.terms or row.cost != offer.cost
    new = [offer for upstream_id, offer in offers.items() if upstream_id not in known]
    return msgspec.structs.replace(plan, new=new, changed=changed)


async def _write(tx: Transaction, provider_id: UUID, plan: Plan, *, currency: str, hold_new: bool) -> None:
    new = [_new_service(offer) for offer in plan.new]
    await store.insert(tx, provider_id, new, currency=currency, is_active=not hold_new)
    await store.update_services(tx, plan.terms)
    await store.update_costs(tx, plan.costs)
    sold = [row for row in plan.gone if row.is_active and not row.others]
    unsold = [row for row in plan.gone if not row.is_active]
    kept = [row for row in plan.gone if row.is_active and row.others]
    await store.switch_services(tx, [row.service_id for row in sold], False)
    await store.switch_routes_off(tx, [row.route_id for row in (*sold, *kept)], VANISHED)
    await store.switch_routes_off(tx, [row.route_id for row in unsold], VANISHED_UNSOLD)
    await store.switch_routes_on(tx, [row.route_id for row in plan.back])
    await store.switch_services(
        tx, [row.service_id for row in plan.back if row.off_reason == VANISHED and not row.is_active], True
    )


def _new_service(offer: Offer) -> NewService:
    category, name = offer.terms.category, offer.terms.name
    return NewService(uuid7(), uuid7(), platform_of(category, name), type_of(category, name), offer)
