"""The lists of services that are served: one for each currency and price group, written once a change."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from compat import wire
from compat.encode import encode_services
from compat.kinds import RULES
from compat.listing import Listing
from compat.money import format_amount
from gateway.api.v1.formats import Money
from gateway.catalog.model import Service
from gateway.catalog.prices.model import Tariff
from gateway.catalog.quality.model import Summary, average_time
from gateway.catalog.snapshot import Catalog

GROUPS_MAX = 64
"""Price groups whose lists are kept; the one that was not asked for the longest is written anew."""


Told = TypeVar("Told")
Priced: TypeAlias = list[tuple[Service, Decimal]]


class Listings(Generic[Told]):
    """Users whose prices are the same share one list, and all requests between two changes do.

    `quality` gives what is said of the services' quality, as another mapping whenever that changed.
    """

    def __init__(
        self,
        catalog: Catalog,
        write: Callable[[Priced, Mapping[UUID, Told]], bytes],
        quality: Callable[[], Mapping[UUID, Told]],
    ) -> None:
        self._catalog = catalog
        self._write = write
        self._quality = quality
        self._kept: OrderedDict[tuple[str, Tariff | None], tuple[list[Service], Mapping[UUID, Told], Listing]] = (
            OrderedDict()
        )

    @property
    def quality(self) -> Mapping[UUID, Told]:
        """What is said of the services' quality now."""
        return self._quality()

    async def of(self, user_id: UUID, currency: str) -> Listing:
        """What is on sale in the currency, at the user's prices.

        Raises:
            Unavailable: the database does not answer.
        """
        sold, tariff = await self._catalog.sold_to(user_id, currency)
        group = currency, tariff
        quality = self._quality()
        listed, told, listing = self._kept.get(group, (None, None, None))
        if listing is None or listed is not sold or told is not quality:
            listing = Listing(self._write(_priced(sold, tariff), quality))
            self._kept[group] = (sold, quality, listing)
        self._kept.move_to_end(group)
        if len(self._kept) > GROUPS_MAX:
            self._kept.popitem(last=False)
        return listing


NativeListings: TypeAlias = Listings[Summary]


def _priced(sold: list[Service], tariff: Tariff | None) -> Priced:
    served = [service for service in sold if service.kind is not None]
    if tariff is None:
        return [(service, service.rate) for service in served]
    own = dict(tariff.services)
    customs = ((service, own.get(service.id, tariff.others)) for service in served)
    return [(service, custom.of(service.rate) if custom else service.rate) for service, custom in customs]


def write_for_panels(priced: Priced, average_times: Mapping[UUID, str]) -> bytes:
    """As the panel protocol has it. `dripfeed` is told of every kind that drips: where the upstream does not, we do."""
    return encode_services(
        wire.Service(
            service=service.number,
            name=service.name,
            type=service.kind.value if service.kind else service.kind_name,
            category=service.category,
            rate=rate,
            min=service.min_quantity,
            max=service.max_quantity,
            refill=service.refill,
            cancel=service.cancel,
            dripfeed=service.kind is not None and RULES[service.kind].drips,
            desc=service.description or "",
            average_time=average_times.get(service.id),
        )
        for service, rate in priced
    )


class NativeService(msgspec.Struct, frozen=True):
    """A service as the native API shows it; `price` of 1000, or of one package.

    `quality` is of the last 30 days, and null, as `average_time`, where nothing is said of it.
    """

    number: int
    name: str
    description: str | None
    category: str
    platform: str
    type: str
    kind: str
    price: Money
    currency: str
    min: int
    max: int
    refill: bool
    cancel: bool
    dripfeed: bool
    average_time: str | None
    quality: Summary | None


def native_service(service: Service, price: Decimal, quality: Mapping[UUID, Summary]) -> NativeService:
    """A service at a price."""
    return NativeService(
        number=service.number,
        name=service.name,
        description=service.description,
        category=service.category,
        platform=service.platform,
        type=service.type,
        kind=service.kind_name,
        price=format_amount(price),
        currency=service.currency,
        min=service.min_quantity,
        max=service.max_quantity,
        refill=service.refill,
        cancel=service.cancel,
        dripfeed=service.kind is not None and RULES[service.kind].drips,
        average_time=average_time(quality.get(service.id)),
        quality=quality.get(service.id),
    )


def write_natively(priced: Priced, quality: Mapping[UUID, Summary]) -> bytes:
    """As `/v1/services` has it."""
    return msgspec.json.encode({"data": [native_service(service, rate, quality) for service, rate in priced]})
