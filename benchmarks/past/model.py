"""Who and what the past is about, numbered so that a row of text is cheap to make; pure.

Ids are UUIDv7 without hyphens, amounts are whole numbers of 10^-8, times are milliseconds since 1970.
"""

import random
from datetime import UTC, date, datetime

import msgspec

from gateway.db.partitions import next_month

PLACES = 100_000_000
KINDS = {"user": 0xA, "wallet": 0xB, "key": 0xC, "service": 0xD, "provider": 0xE, "route": 0xF, "webhook": 0x9}
"""Of things that are there before the first order: a digit of their ids, which else count from the same number."""
PLATFORMS = ("instagram", "youtube", "tiktok", "telegram", "twitter", "facebook", "spotify", "twitch", "vk", "discord")
TYPES = ("followers", "likes", "views", "comments", "shares", "subscribers")
WORDS = ("fast", "cheap", "real", "HQ", "drip", "worldwide", "USA", "no drop", "instant", "premium")
CURRENCIES = ("USD", "EUR")


class Size(msgspec.Struct, frozen=True):
    """How much of everything; `told_months` of events and history, `delivered_days` of deliveries to webhooks."""

    users: int = 10_000
    orders: int = 5_000_000
    months: int = 24
    services: int = 500
    providers: int = 50
    webhooks: int = 1_000
    open_orders: int = 3_000
    told_months: int = 3
    delivered_days: int = 30
    audited: int = 50_000


class Service(msgspec.Struct, frozen=True):
    """`rate` of 1000 pieces in 10^-5, so that each piece is a whole number of 10^-8."""

    id: str
    number: int
    rate: int
    currency: str
    provider: int
    route_id: str
    upstream: str

    @property
    def name(self) -> str:
        at = self.number
        return f"{PLATFORMS[at % 10]} {TYPES[at % 6]} {WORDS[at % 7]} {WORDS[at * 3 % 10]} {at}"

    @property
    def cost(self) -> int:
        """What the upstream takes for a piece, in 10^-8."""
        return self.rate * 6 // 10


class Past(msgspec.Struct, frozen=True):
    """What orders are about, and from when to when. Two wallets a user, a key each."""

    size: Size
    months: list[date]
    first_ms: int
    last_ms: int
    seed: int = 1

    def id_of(self, kind: str, at: int) -> str:
        return f"{self.first_ms - 86_400_000 + at:012x}7000{KINDS[kind]:x}{at:015x}"

    def services(self) -> list[Service]:
        chance = random.Random(self.seed)
        return [
            Service(
                id=self.id_of("service", at),
                number=at + 1,
                rate=chance.randrange(20_000, 900_000),
                currency=CURRENCIES[at % 5 // 4],
                provider=at % self.size.providers,
                route_id=self.id_of("route", at),
                upstream=str(1000 + at),
            )
            for at in range(self.size.services)
        ]

    def ends(self) -> list[int]:
        """When each month is over."""
        return [to_ms(next_month(month)) for month in self.months]

    def has_webhook(self, user: int) -> bool:
        """Who orders much has one."""
        return user < self.size.webhooks


def past_until(now: datetime, size: Size) -> Past:
    """So many months, the last of which is the one that `now` is in."""
    at = now.year * 12 + now.month - size.months
    months = [date(month // 12, month % 12 + 1, 1) for month in range(at, at + size.months)]
    return Past(size, months, to_ms(months[0]), int(now.timestamp() * 1000))


def to_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def amount(units: int) -> str:
    """As PostgreSQL reads it."""
    return f"{units}e-8"
