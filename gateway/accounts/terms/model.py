"""The terms of a key, how they are changed, and what one key may grant another; pure."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from compat.money import LIMIT, is_exact
from gateway.accounts.addresses import is_within
from gateway.accounts.model import Account, Network, Role
from gateway.accounts.scopes import Scope, read_scopes
from gateway.errors import Forbidden, Invalid

NAME_CHARS_MAX = 255
NETWORKS_MAX = 100
REQUESTS_PER_MINUTE_MAX = 1_000_000


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """All that may be set of a key. None is no bound of its own: all scopes, any address, the limit of the tier."""

    name: str
    tier: str
    scopes: tuple[str, ...] | None = None
    allowed_addresses: tuple[Network, ...] | None = None
    daily_spend_cap: Decimal | None = None
    requests_per_minute: int | None = None
    expires_at: datetime | None = None
    replay_window_s: int | None = None
    refuse_duplicates: bool = False


class KeyEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be set; the rest stays."""

    name: str | UnsetType = UNSET
    tier: str | UnsetType = UNSET
    scopes: tuple[str, ...] | UnsetType | None = UNSET
    allowed_addresses: tuple[Network, ...] | UnsetType | None = UNSET
    daily_spend_cap: Decimal | UnsetType | None = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    replay_window_s: int | UnsetType | None = UNSET
    refuse_duplicates: bool | UnsetType = UNSET


class Holder(msgspec.Struct, frozen=True):
    """Whose key it is."""

    user_id: UUID
    role: Role


def edit(before: Terms, changes: KeyEdit) -> Terms:
    """The terms as they are to be, not checked yet."""
    values = {name: getattr(changes, name) for name in changes.__struct_fields__}
    return msgspec.structs.replace(before, **{name: value for name, value in values.items() if value is not UNSET})


def check(terms: Terms, role: Role) -> Terms:
    """The terms with each scope and network once, for a key of a user with that role.

    Raises:
        Invalid: with every field that makes no sense, or that the role may not have.
    """
    faults: list[tuple[str, str]] = []
    if terms.scopes is not None:
        try:
            terms = msgspec.structs.replace(terms, scopes=read_scopes(terms.scopes))
        except Invalid as error:
            faults += error.faults
        if role != "admin" and Scope.ADMIN in (terms.scopes or ()):
            faults.append(("scopes", f"{Scope.ADMIN} is for keys of administrators"))
    if terms.allowed_addresses is not None:
        networks = tuple(dict.fromkeys(terms.allowed_addresses))
        terms = msgspec.structs.replace(terms, allowed_addresses=networks)
        if not 1 <= len(networks) <= NETWORKS_MAX:
            faults.append(("allowed_addresses", f"a list has 1 to {NETWORKS_MAX} networks"))
    faults += _faults_of_numbers(terms)
    if faults:
        raise Invalid(faults)
    return terms


def _faults_of_numbers(terms: Terms) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    cap, limit = terms.daily_spend_cap, terms.requests_per_minute
    if len(terms.name) > NAME_CHARS_MAX or (terms.name and not terms.name.isprintable()):
        faults.append(("name", f"a name has at most {NAME_CHARS_MAX} printable characters"))
    if cap is not None and not (is_exact(cap) and cap >= 0):
        faults.append(("daily_spend_cap", f"a cap is 0 or more with at most 8 decimal places, and below {LIMIT}"))
    if limit is not None and not 1 <= limit <= REQUESTS_PER_MINUTE_MAX:
        faults.append(("requests_per_minute", f"a limit is 1 to {REQUESTS_PER_MINUTE_MAX}"))
    return faults


def granted(by: Account, wanted: Terms, currency: str) -> Terms:
    """The terms that one key gives a new one: what is left open is what it has itself. Raises as `require_within`."""
    filled = msgspec.structs.replace(
        wanted,
        scopes=by.permissions if wanted.scopes is None else read_scopes(wanted.scopes),
        allowed_addresses=by.allowed_addresses if wanted.allowed_addresses is None else wanted.allowed_addresses,
        expires_at=by.expires_at if wanted.expires_at is None else wanted.expires_at,
    )
    require_within(by, filled, currency)
    return filled


def require_within(by: Account, terms: Terms, currency: str) -> None:
    """A key hands out, changes and rotates only keys that may no more than itself, before and after.

    For its own rotation a key needs none of this. Tier and limit are an operator's to give and are not looked at.

    Raises:
        Forbidden: a scope that it does not have.
        Invalid: another wallet, addresses or a time beyond its own; or `orders:write` where it has a cap, since
            what another key spends does not count against that.
    """
    for scope in Scope if terms.scopes is None else terms.scopes:
        if scope == Scope.ADMIN and by.role != "admin":
            if terms.scopes is None:
                continue
            raise Forbidden(scope)
        if by.permissions is not None and scope not in by.permissions:
            raise Forbidden(scope)
    faults: list[tuple[str, str]] = []
    if currency != by.currency:
        faults.append(("currency", f"this key pays from the wallet in {by.currency}"))
    if by.daily_spend_cap is not None and (terms.scopes is None or Scope.ORDERS_WRITE in terms.scopes):
        faults.append(("scopes", f"a key with a daily cap cannot grant {Scope.ORDERS_WRITE}"))
    if by.allowed_addresses is not None:
        if terms.allowed_addresses is None:
            faults.append(("allowed_addresses", "more than this key may be used from"))
        beyond = [each for each in terms.allowed_addresses or () if not is_within(each, by.allowed_addresses)]
        faults += [("allowed_addresses", f"{each} is beyond what this key may be used from") for each in beyond]
    if by.expires_at is not None and (terms.expires_at is None or terms.expires_at > by.expires_at):
        faults.append(("expires_at", "later than this key's own end"))
    if faults:
        raise Invalid(faults)
