"""Searching what is on sale: words by the database's index, the rest over the catalogue in memory."""

import re
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from compat.kinds import RULES
from gateway.catalog import store
from gateway.catalog.model import Service
from gateway.catalog.prices.model import Tariff
from gateway.db.engine import Transaction

WORDS_MAX = 10


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which services, None for whatever: prices are the caller's, `after` is a number."""

    numbers: set[int] | None = None
    platform: str | None = None
    type: str | None = None
    category: str | None = None
    kind: str | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    refill: bool | None = None
    cancel: bool | None = None
    dripfeed: bool | None = None
    after: int = 0


async def numbers_of(tx: Transaction, text: str) -> set[int]:
    """Services whose name and category have all the words, the last of which may be begun; at most ten words count."""
    words = re.findall(r"[^\W_]+", text)[:WORDS_MAX]
    if not words:
        return set()
    return await store.search(tx, " & ".join([*(f"'{word}'" for word in words[:-1]), f"'{words[-1]}':*"]))


def select(sold: Sequence[Service], tariff: Tariff | None, wanted: Wanted, most: int) -> list[tuple[Service, Decimal]]:
    """At most so many in the order of their numbers, with the caller's price; one pass over the catalogue."""
    found: list[tuple[Service, Decimal]] = []
    for service in sold:
        if service.number <= wanted.after or not _is_wanted(service, wanted):
            continue
        price = tariff.rate_of(service.id, service.rate) if tariff else service.rate
        if wanted.min_price is not None and price < wanted.min_price:
            continue
        if wanted.max_price is not None and price > wanted.max_price:
            continue
        found.append((service, price))
        if len(found) == most:
            break
    return found


def _is_wanted(service: Service, wanted: Wanted) -> bool:
    if service.kind is None or (wanted.numbers is not None and service.number not in wanted.numbers):
        return False
    pairs = (
        (wanted.platform, service.platform),
        (wanted.type, service.type),
        (wanted.category, service.category),
        (wanted.kind, service.kind_name),
        (wanted.refill, service.refill),
        (wanted.cancel, service.cancel),
    )
    if any(want is not None and want != has for want, has in pairs):
        return False
    return wanted.dripfeed is None or RULES[service.kind].drips == wanted.dripfeed
