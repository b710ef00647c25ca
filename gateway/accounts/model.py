"""API keys and accounts as values: the key's format and who an authenticated caller is."""

import ipaddress
import re
import secrets
import string
import zlib
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

Role = Literal["user", "reseller", "admin"]
UserStatus = Literal["active", "suspended", "banned"]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PREFIX = "yb_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 30
_CHECKSUM_LENGTH = 6
KEY_CHARS = len(_PREFIX) + _SECRET_LENGTH + _CHECKSUM_LENGTH
_SHAPE = re.compile(rf"{_PREFIX}[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}")


class Account(msgspec.Struct, frozen=True):
    """Who a request acts for and which wallet it spends from. `permissions` None means all that the role may.

    `requests_per_minute` is the key's own limit, else its tier's; None where only the settings have one.
    `expires_at` is the end of the secret that was shown: one that was rotated away may end before the key.
    Within `replay_window_s` the same `add` again is answered with the first order; `refuse_duplicates`
    refuses a second active order for the same service and link.
    """

    key_id: UUID
    user_id: UUID
    wallet_id: UUID
    currency: str
    tier: str
    permissions: tuple[str, ...] | None
    expires_at: datetime | None
    key_name: str
    replay_window_s: int | None = None
    refuse_duplicates: bool = False
    role: Role = "reseller"
    requests_per_minute: int | None = None
    allowed_addresses: tuple[Network, ...] | None = None
    daily_spend_cap: Decimal | None = None

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class KeySummary(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key: never the key, nor its hash.

    `scopes`, `allowed_addresses` and `daily_spend_cap` None is no bound; `requests_per_minute` None is that of
    the tier. `spent_today` is None where nothing is counted, since the key has no cap. Until
    `previous_expires_at` the secret before the last rotation works too.
    """

    key_id: UUID
    user_id: UUID
    email: str
    name: str
    tier: str
    currency: str
    scopes: tuple[str, ...] | None
    allowed_addresses: tuple[Network, ...] | None
    daily_spend_cap: Decimal | None
    spent_today: Decimal | None
    requests_per_minute: int | None
    is_active: bool
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    previous_expires_at: datetime | None
    revoked_at: datetime | None
    replay_window_s: int | None
    refuse_duplicates: bool


class Tier(msgspec.Struct, frozen=True):
    """Requests a minute for the keys that have it; None is the setting of the same name."""

    name: str
    requests_per_minute: int | None
    keys: int


def new_key() -> str:
    """`yb_`, 30 random base62 characters (178 bits), and 6 of checksum."""
    body = _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether the checksum holds, so that a mistyped or invented key costs no database read."""
    if _SHAPE.fullmatch(key) is None:
        return False
    return key[-_CHECKSUM_LENGTH:] == _checksum(key[:-_CHECKSUM_LENGTH])


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
