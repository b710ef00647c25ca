"""What a key may do: the scopes, and which one each operation of both APIs needs; pure."""

import enum
from collections.abc import Sequence

from gateway.accounts.model import Account
from gateway.errors import Forbidden, Invalid


class Scope(enum.StrEnum):
    """As they stand in `api_keys.permissions`."""

    ORDERS_WRITE = "orders:write"
    ORDERS_READ = "orders:read"
    SERVICES_READ = "services:read"
    BALANCE_READ = "balance:read"
    LEDGER_READ = "ledger:read"
    WEBHOOKS_WRITE = "webhooks:write"
    KEYS_WRITE = "keys:write"
    ADMIN = "admin:*"


NEEDED: dict[str, Scope] = {
    "services": Scope.SERVICES_READ,
    "add": Scope.ORDERS_WRITE,
    "status": Scope.ORDERS_READ,
    "statuses": Scope.ORDERS_READ,
    "refill": Scope.ORDERS_WRITE,
    "refill_status": Scope.ORDERS_READ,
    "cancel": Scope.ORDERS_WRITE,
    "balance": Scope.BALANCE_READ,
}
"""By action of the panel protocol; an operation of the native API names its scope where it is described."""


def require(account: Account, action: str) -> None:
    """Raises Forbidden where the account's key may not do this through the panel protocol."""
    require_scope(account, NEEDED[action])


def require_scope(account: Account, scope: Scope) -> None:
    """Raises Forbidden where the account's key lacks the scope.

    A key without a list of scopes may do all that its user may; `admin:*` holds for administrators alone.
    """
    has_scope = account.permissions is None or scope in account.permissions
    if not has_scope or (scope is Scope.ADMIN and account.role != "admin"):
        raise Forbidden(scope)


def read_scopes(wanted: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes by these names, each once and in the table's order.

    Raises:
        Invalid: there is none, or one is no scope, with its place in the list.
    """
    known = {scope.value for scope in Scope}
    faults = [(f"scopes[{at}]", f"{name!r} is no scope") for at, name in enumerate(wanted) if name not in known]
    if not wanted:
        faults.append(("scopes", "a key has at least one scope"))
    if faults:
        raise Invalid(faults)
    return tuple(scope for scope in Scope if scope.value in wanted)
