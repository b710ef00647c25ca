"""`/v1/admin/providers/{provider}/sync`: what a provider lists, compared with ours and taken over."""

import asyncio

import msgspec

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.admin.providers import Provider, find_provider, read_provider
from gateway.catalog.sync.plan import Line
from gateway.catalog.sync.syncing import SyncResult, sync_provider, want_sync
from gateway.db.engine import Transaction
from gateway.errors import NotFound, ProviderFailed

CHANGES_MAX = 1000
DIFFERENCE_EXTRA_S = 10.0
"""Beyond the call itself, for what goes before and after it."""


class WantedSync(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list with less than half of what was listed before is refused unless `accept_shrunk`."""

    accept_shrunk: bool = False


class DifferenceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As for the sync itself."""

    accept_shrunk: bool = False


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync would do: to how many of the provider's rows, and at most 1000 of the changes in words.

    `quarantined` ones, whose cost moved too far to be taken over, are among the `changed`.
    """

    new: int
    changed: int
    vanished: int
    quarantined: int
    skipped: int
    changes: list[Line]
    has_more: bool


@operation(
    "POST",
    "/admin/providers/{provider}/sync",
    scope=Scope.ADMIN,
    tag="admin: providers",
    example={"accept_shrunk": False},
    returns=Provider,
    status=202,
)
async def admin_sync_provider(call: Call, body: WantedSync) -> Reply:
    """Ask the worker to take over what a provider lists, at once.

    When it has ended, `sync_wanted` is false; `synced_at` or `sync_error` say how.
    """

    async def want(tx: Transaction) -> Reply:
        provider_id = (await find_provider(call, tx)).id
        await want_sync(tx, provider_id, accept_shrunk=body.accept_shrunk)
        return Reply(await read_provider(tx, provider_id), 202)

    return await once.once(call, want, call.acting())


@operation(
    "GET", "/admin/providers/{provider}/sync", scope=Scope.ADMIN, tag="admin: providers", returns=Difference,
    refuses=(errors.ProviderFailed,),
)  # fmt: skip
async def admin_get_difference(call: Call, query: DifferenceQuery) -> Reply:
    """Ask a provider for its list, and tell what a sync would change; nothing is changed."""
    async with call.db.connection() as connection:
        provider = await find_provider(call, connection)
    upstreams = call.parts.upstreams
    try:
        async with asyncio.timeout(call.parts.settings.poll_timeout_s + DIFFERENCE_EXTRA_S):
            await upstreams.refresh()
            result = await sync_provider(
                call.db, upstreams, provider.id, dry_run=True, accept_shrunk=query.accept_shrunk
            )
    except TimeoutError:
        raise ProviderFailed("the provider, or those who asked it before, took too long") from None
    except NotFound:
        raise ProviderFailed("the provider cannot be asked: its key cannot be opened, or its URL is none") from None
    return Reply(_difference(result))


def _difference(result: SyncResult) -> Difference:
    return Difference(
        new=result.new,
        changed=result.changed,
        vanished=result.vanished,
        quarantined=result.quarantined,
        skipped=result.skipped,
        changes=result.lines[:CHANGES_MAX],
        has_more=len(result.lines) > CHANGES_MAX,
    )


OPERATIONS = [admin_sync_provider, admin_get_difference]
