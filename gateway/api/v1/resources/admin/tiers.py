"""`/v1/admin/tiers`: how many requests a minute the keys of each tier have."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts import tiers
from gateway.accounts.model import Tier
from gateway.accounts.scopes import Scope
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import TierName
from gateway.api.v1.operations import operation
from gateway.db.engine import Transaction
from gateway.errors import Invalid, NotFound


class Tiers(msgspec.Struct, frozen=True):
    """All tiers, by name."""

    data: list[Tier]


class TierLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests a minute; null goes back to the setting of basic, pro or enterprise."""

    requests_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] | None


@operation("GET", "/admin/tiers", scope=Scope.ADMIN, tag="admin: tiers", returns=Tiers)
async def admin_list_tiers(call: Call) -> Reply:
    """List the tiers, with how many keys in force have each."""
    async with call.db.connection() as connection:
        return Reply(Tiers(await tiers.list_tiers(connection)))


@operation("GET", "/admin/tiers/{tier}", scope=Scope.ADMIN, tag="admin: tiers", returns=Tier)
async def admin_get_tier(call: Call) -> Reply:
    """Show a tier."""
    async with call.db.connection() as connection:
        return Reply(await _find(call, connection))


@operation(
    "PUT",
    "/admin/tiers/{tier}",
    scope=Scope.ADMIN,
    tag="admin: tiers",
    example={"requests_per_minute": 600},
    returns=Tier,
    refuses=(errors.Conflict,),
)
async def admin_set_tier(call: Call, body: TierLimit) -> Reply:
    """Set a tier's limit, in force within a second, or add a tier."""
    name = call.path_parameters["tier"]
    try:
        msgspec.convert(name, TierName)
    except msgspec.ValidationError:
        raise Invalid(
            [("path.tier", "a name has small letters, digits and hyphens, and begins with a letter")]
        ) from None
    async with call.acting().transaction() as tx:
        call.check_unchanged(await tiers.find_tier(tx, name, lock=True))
        await tiers.set_tier(tx, name, body.requests_per_minute)
        return Reply(await _find(call, tx))


@operation(
    "DELETE", "/admin/tiers/{tier}", scope=Scope.ADMIN, tag="admin: tiers", returns=None, status=204,
    refuses=(errors.Conflict,),
)  # fmt: skip
async def admin_remove_tier(call: Call) -> Reply:
    """Remove a tier that no key has."""
    async with call.acting().transaction() as tx:
        tier = await _find(call, tx, lock=True)
        call.check_unchanged(tier)
        await tiers.remove_tier(tx, tier.name)
    return Reply(None, 204)


async def _find(call: Call, tx: Transaction, *, lock: bool = False) -> Tier:
    name = call.path_parameters["tier"]
    tier = await tiers.find_tier(tx, name, lock=lock) if "\0" not in name else None
    if tier is None:
        raise NotFound("tier")
    return tier


OPERATIONS = [admin_list_tiers, admin_get_tier, admin_set_tier, admin_remove_tier]
