"""Probes: an unknown order is looked for among the upstream's ids about its own, where the operator allows it.

Only `status` is asked. What is found is taken only where nothing else can be meant; what is not
found proves nothing, and the order stays unknown.
"""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from compat.dialects import DIALECTS
from compat.failures import UpstreamError
from compat.wire import UpstreamReport
from gateway.db.engine import Database, Transaction
from gateway.dispatch import store as dispatch
from gateway.dispatch.outcomes import AttemptMoved, accept_unknown
from gateway.dispatch.unknowns import store
from gateway.dispatch.unknowns.model import IDS_MAX, Sought, Window, fits, may_be_of, orders_in
from gateway.errors import NotFound, Unavailable
from gateway.logs import Logger
from gateway.providers.lanes import Lanes
from gateway.providers.upstream import Upstreams

log = Logger(__name__)

IDS_AT_ONCE = 100
ATTEMPTS_AT_ONCE = 20
IDS_NAMED = 10


class Ambiguous(Exception):
    """Why nothing may be concluded from what was found."""


async def probe_unknown(db: Database, upstreams: Upstreams, lanes: Lanes) -> int:
    """Begin probes at the providers that have something due and are not busy with one; at how many.

    Raises:
        Unavailable: the database does not answer.
    """
    async with db.connection() as connection:
        due = await store.providers_to_probe(connection)
    begun = [] if lanes.stopping else [provider_id for provider_id in due if provider_id not in lanes.busy()]
    for provider_id in begun:
        lanes.start(provider_id, _probe_all(db, upstreams, provider_id))
    return len(begun)


async def _probe_all(db: Database, upstreams: Upstreams, provider_id: UUID) -> None:
    await probe_provider(db, upstreams, provider_id)


async def probe_provider(db: Database, upstreams: Upstreams, provider_id: UUID) -> int:
    """Look for what is unknown and due at one provider; how many orders were found.

    The claim of a round is committed before anything is asked, so that rounds are bounded whatever
    becomes of the process.

    Raises:
        Unavailable: the database does not answer.
    """
    found = 0
    for _ in range(ATTEMPTS_AT_ONCE):
        async with db.transaction() as tx:
            sought = await store.claim_to_probe(tx, provider_id)
        if sought is None:
            break
        try:
            found += await _probe(db, upstreams, sought)
        except (UpstreamError, NotFound, Ambiguous) as error:
            await _note(db, sought, str(error))
        except AttemptMoved:
            log.info("an order was resolved while it was looked for", order=sought.number)
        except Unavailable:
            raise
        except Exception:  # one order must not keep the others from being looked for
            log.exception("a probe failed", order=sought.number)
    return found


async def _probe(db: Database, upstreams: Upstreams, sought: Sought) -> bool:
    """Raises Ambiguous, UpstreamError, NotFound and AttemptMoved; nothing is written then."""
    async with db.connection() as connection:
        window = await store.window_of(connection, sought.attempt_id)
    ids = window.ids(_ids_max(upstreams, sought.provider_id))
    if ids is None:
        raise Ambiguous(f"not looked for: ids between {window.above} and {window.below} are none or too many")
    seen = orders_in(await _ask(upstreams, sought.provider_id, ids))
    if any(fits(report, sought) for report in seen.values()):
        seen = orders_in(seen, await _runs_at(db, upstreams, sought.provider_id))
    scanned = f"ids {ids[0]} to {ids[-1]}"
    async with db.transaction() as tx:
        upstream_id = await _the_one(tx, sought, seen, scanned)
        attempt = await dispatch.find(tx, sought.attempt_id)
        if attempt is None or attempt.state != "unknown" or attempt.resends != sought.resends:
            raise AttemptMoved
        report = seen[upstream_id]
        evidence = {"probe": f"{upstream_id} is the only one of {scanned} with charge {report.charge}: {report.word}"}
        if not await accept_unknown(tx, attempt, upstream_id, evidence):
            raise Ambiguous(f"{upstream_id} became another order's meanwhile")
    log.info("an unknown order was found", order=sought.number, upstream_id=upstream_id)
    return True


def _ids_max(upstreams: Upstreams, provider_id: UUID) -> int:
    """As many as ten calls can ask about, or a hundred where a call asks about one."""
    return IDS_AT_ONCE if _is_one_a_call(upstreams, provider_id) else IDS_MAX


def _is_one_a_call(upstreams: Upstreams, provider_id: UUID) -> bool:
    return not DIALECTS[upstreams.provider(provider_id).dialect].many_action


async def _ask(upstreams: Upstreams, provider_id: UUID, ids: range) -> dict[str, UpstreamReport]:
    reports: dict[str, UpstreamReport] = {}
    is_one_a_call = _is_one_a_call(upstreams, provider_id)
    for start in range(0, len(ids), IDS_AT_ONCE):
        batch = [str(number) for number in ids[start : start + IDS_AT_ONCE]]
        reports |= await upstreams.statuses(provider_id, batch)
        if is_one_a_call and len(reports) < start + len(batch):
            raise Ambiguous("the panel, asked one by one, did not answer for each id")
    return reports


async def _runs_at(db: Database, upstreams: Upstreams, provider_id: UUID) -> set[str]:
    """Runs that the upstream began of orders of ours; they look like orders and may not be bound yet."""
    async with db.connection() as connection:
        families = await store.families_at(connection, provider_id)
    if not families:
        return set()
    if len(families) > IDS_AT_ONCE:
        raise Ambiguous("too many drip-feeds and subscriptions run there to tell their runs from orders")
    reports = await upstreams.statuses(provider_id, families)
    if any(family not in reports or reports[family].error is not None for family in families):
        raise Ambiguous("the runs of a drip-feed or subscription there are not known")
    return {run for report in reports.values() for run in report.orders}


async def _the_one(tx: Transaction, sought: Sought, seen: dict[str, UpstreamReport], scanned: str) -> str:
    """The id that is the order's and can be no other's. Raises Ambiguous where there is none such.

    An order that nothing of ours can be shows that others' orders are seen there: then what fits may
    be theirs too.
    """
    bound = await store.bound_among(tx, sought.provider_id, list(seen))
    free = {upstream_id: report for upstream_id, report in seen.items() if upstream_id not in bound}
    found = [upstream_id for upstream_id, report in free.items() if fits(report, sought)]
    if len(found) != 1:
        named = ", ".join(found[:IDS_NAMED])
        raise Ambiguous(f"{len(found)} candidates in {scanned}" + (f": {named}" if named else ""))
    rivals = await store.rivals_of(tx, sought)
    if len(rivals) >= store.RIVALS_MAX:
        raise Ambiguous(f"{found[0]} fits, but too many other sends are in doubt")
    windows: dict[UUID, Window] = {}
    for upstream_id, report in free.items():
        rival = await _rival_that_may_be(tx, rivals, windows, upstream_id, report)
        if upstream_id == found[0] and rival is not None:
            raise Ambiguous(f"{upstream_id} fits, but may also be attempt {rival}'s")
        if upstream_id != found[0] and rival is None:
            raise Ambiguous(f"{found[0]} fits, but {upstream_id} is none of ours: others order there too")
    return found[0]


async def _rival_that_may_be(
    tx: Transaction,
    rivals: Sequence[tuple[UUID, Decimal | None]],
    windows: dict[UUID, Window],
    upstream_id: str,
    report: UpstreamReport,
) -> UUID | None:
    """The first of the rivals that may be there under this id; `windows` has those that were read before."""
    for attempt_id, cost in rivals:
        if may_be_of(report, cost):
            if attempt_id not in windows:
                windows[attempt_id] = await store.window_of(tx, attempt_id)
            if windows[attempt_id].may_hold(int(upstream_id)):
                return attempt_id
    return None


async def _note(db: Database, sought: Sought, text: str) -> None:
    log.info("an unknown order was not found", order=sought.number, reason=text)
    async with db.transaction() as tx:
        await store.note(tx, sought.attempt_id, {"probe": text[:500]})
