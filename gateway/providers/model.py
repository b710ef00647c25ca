"""A provider: one upstream panel, our account there and what we add to its prices; pure."""

from datetime import datetime
from decimal import Decimal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from yarl import URL

from compat.dialects import DIALECTS
from compat.money import is_exact
from gateway.errors import Conflict

NAME_CHARS_MAX = 255
MARKUP_LIMIT = Decimal(100_000)


class Provider(msgspec.Struct, frozen=True):
    """`api_key` is in the clear here, so the text form leaves it out. Prices there are in `currency`."""

    id: UUID
    name: str
    api_endpoint: str
    api_key: str
    currency: str
    markup_percent: Decimal
    priority: int
    is_active: bool
    max_in_flight: int | None
    paused_until: datetime | None
    dialect: str = "standard"

    def __repr__(self) -> str:
        return f"Provider(id={self.id}, name={self.name!r}, api_key=***)"


def check_url(text: str) -> str:
    """The address of a panel, without blanks round it.

    Raises:
        Conflict: not http or https, no host, or a user, password or fragment in it.
    """
    url = text.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        URL(url)
    except ValueError as error:
        raise Conflict("the URL of a provider cannot be read") from error
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() or not c.isprintable() for c in url):
        raise Conflict("the URL of a provider starts with http:// or https:// and names a host")
    if parts.username is not None or parts.fragment:
        raise Conflict("the URL of a provider has no user name, password or fragment")
    return url


def check_name(text: str) -> str:
    """Raises Conflict for a name that is empty, too long or not printable."""
    name = text.strip()
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise Conflict(f"the name of a provider has 1 to {NAME_CHARS_MAX} printable characters")
    return name


def check_markup(percent: Decimal) -> Decimal:
    """Raises Conflict for a markup that is not a number from -100 up to 100 000 with four places."""
    if not percent.is_finite() or not -100 <= percent < MARKUP_LIMIT or percent != round(percent, 4):
        raise Conflict("a markup is a percentage from -100 to below 100000 with at most 4 decimal places")
    return percent


def rate_at(currency: str, own_currency: str, given: Decimal | None) -> Decimal:
    """What one unit of a provider's currency is in ours.

    Raises:
        Conflict: it is not ours and no rate was given, or the rate is none with eight places.
    """
    if given is None:
        if currency != own_currency:
            raise Conflict(f"prices in {currency} need an exchange rate: what 1 {currency} is in {own_currency}")
        return Decimal(1)
    if not is_exact(given) or given <= 0:
        raise Conflict("an exchange rate is above 0, with at most 8 decimal places")
    return given


def check_dialect(name: str) -> str:
    """Raises Conflict for a dialect that is not in the table of `compat.dialects`."""
    if name not in DIALECTS:
        raise Conflict(f"no such dialect; there are {', '.join(DIALECTS)}")
    return name


def check_api_key(text: str) -> str:
    """Raises Conflict for a key that is empty or not one line; the message does not repeat it."""
    key = text.strip()
    if not key or not key.isprintable():
        raise Conflict("the key of a provider is one line of text")
    return key
