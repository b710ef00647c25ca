"""What an upstream's list becomes when we sell it; pure."""

import re
from collections.abc import Iterable

from compat import wire
from compat.kinds import parse_kind
from compat.money import LIMIT, round8
from gateway.catalog.model import Offer, Terms, quantities_of

NAME_CHARS_MAX = 255
UPSTREAM_ID_CHARS_MAX = 64
OTHER_CATEGORY = "Other"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def offers_of(rows: Iterable[wire.Service]) -> tuple[dict[str, Offer], int]:
    """What can be sold of an upstream's list, by its id there, and how many rows cannot."""
    offers: dict[str, Offer] = {}
    skipped = 0
    for row in rows:
        offer = offer_of(row)
        if offer is None or offer.provider_service_id in offers:
            skipped += 1
        else:
            offers[offer.provider_service_id] = offer
    return offers, skipped


def offer_of(row: wire.Service) -> Offer | None:
    """The row as we can sell it.

    None where its kind is not in the protocol, its quantities make no sense or its cost cannot be kept.
    """
    kind = parse_kind(row.type)
    upstream_id = str(row.service)
    if kind is None or not 0 < len(upstream_id) <= UPSTREAM_ID_CHARS_MAX:
        return None
    quantities = quantities_of(kind, row.min, row.max)
    cost = round8(row.rate)
    if quantities is None or not 0 <= cost < LIMIT:
        return None
    terms = Terms(
        name=_line(row.name) or f"Service {upstream_id}",
        description=_UNPRINTABLE.sub("", row.desc).strip() or None,
        category=_line(row.category) or OTHER_CATEGORY,
        kind=kind,
        min_quantity=quantities[0],
        max_quantity=quantities[1],
        refill=row.refill,
        cancel=row.cancel,
        dripfeed=row.dripfeed,
    )
    return Offer(upstream_id, cost, terms)


def _line(text: str) -> str:
    return " ".join(_UNPRINTABLE.sub("", text).split())[:NAME_CHARS_MAX]
