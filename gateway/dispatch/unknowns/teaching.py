"""Words that were taught, applied to the unknown orders whose stored answer is exactly these words."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec

from compat.errors import Fault
from compat.replies import UNKNOWN_WORDS
from compat.wire import Refused
from gateway.db.engine import Database, Transaction
from gateway.dispatch import store as dispatch
from gateway.dispatch.outcomes import AttemptMoved, not_taken
from gateway.dispatch.unknowns import store
from gateway.dispatch.unknowns.model import refusal_in
from gateway.dispatch.unknowns.store import Answered
from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.providers.words import store as words_store
from gateway.providers.words.model import FAULTS, check_words

log = Logger(__name__)

AT_ONCE = 100
PAGES_MAX = 100
SHOWN_PAGES_MAX = 10
LEARNED = timedelta(seconds=5)
"""Until then every worker has read the words, so that the same answer is not unknown once more."""
_FIRST = UUID(int=0)


class Resolved(msgspec.Struct, frozen=True):
    """An order that taught words say was refused, and whose fault that was."""

    order: int
    fault: Fault
    text: str


async def teach(
    db: Database, provider_id: UUID, text: str, meaning: str, by: str, *, dry_run: bool = False
) -> list[Resolved]:
    """Keep what the words mean and resolve at once what is unknown for want of it; what was, or would be, resolved.

    An order of which a copy was sent stays unknown: the words answered another send than the last.

    Raises:
        Conflict: these are no words that can be kept.
        Unavailable: the database does not answer; what is not resolved yet, the worker resolves.
    """
    folded = check_words(text)
    if not dry_run:
        async with db.transaction() as tx:
            await words_store.save(tx, provider_id, folded, meaning)
    async with db.connection() as connection:
        taught = (await words_store.load(connection)).get(provider_id, {}) | {folded: FAULTS[meaning]}
    return await _resolve(db, {provider_id: taught}, f"taught by {by}", dry_run=dry_run)


async def list_resolvable(tx: Transaction, provider_id: UUID, words: str, meaning: str) -> list[Resolved]:
    """The orders, some of the first thousand that are unknown there, which these words resolve beside those known.

    The words are as `check_words` has them.
    """
    taught = (await words_store.load(tx)).get(provider_id, {}) | {words: FAULTS[meaning]}
    found: list[Resolved] = []
    last = _FIRST
    for _ in range(SHOWN_PAGES_MAX):
        page = await store.answered(tx, UNKNOWN_WORDS, {provider_id: taught}, last, AT_ONCE)
        for attempt in page:
            refused = refusal_in(UNKNOWN_WORDS, attempt.answer, taught)
            if refused is not None:
                found.append(Resolved(attempt.number, refused.fault, refused.text))
        if len(page) < AT_ONCE:
            break
        last = page[-1].attempt_id
    return found


async def apply_taught(db: Database) -> int:
    """Resolve what became unknown in words that were taught meanwhile; how many orders.

    Raises:
        Unavailable: the database does not answer.
    """
    async with db.connection() as connection:
        taught = await words_store.load(connection)
    return len(await _resolve(db, taught, "taught before", dry_run=False)) if taught else 0


async def _resolve(
    db: Database, taught: Mapping[UUID, Mapping[str, Fault]], by: str, *, dry_run: bool
) -> list[Resolved]:
    resolved: list[Resolved] = []
    last = _FIRST
    for _ in range(PAGES_MAX):
        async with db.connection() as connection:
            page = await store.answered(connection, UNKNOWN_WORDS, taught, last, AT_ONCE)
        for attempt in page:
            refused = refusal_in(UNKNOWN_WORDS, attempt.answer, taught[attempt.provider_id])
            if refused is not None and (dry_run or await _refuse(db, attempt, refused, by)):
                resolved.append(Resolved(attempt.number, refused.fault, refused.text))
        if len(page) < AT_ONCE:
            break
        last = page[-1].attempt_id
    return resolved


async def _refuse(db: Database, answered: Answered, refused: Refused, by: str) -> bool:
    """Whether the attempt was still as it had been read."""
    try:
        async with db.transaction() as tx:
            return await _refuse_in(tx, answered.attempt_id, refused, by)
    except AttemptMoved:
        return False
    except Unavailable:
        raise
    except Exception:  # one order must not keep the others from being resolved
        log.exception("an order could not be resolved by taught words", order=answered.number)
        return False


async def _refuse_in(tx: Transaction, attempt_id: UUID, refused: Refused, by: str) -> bool:
    attempt = await dispatch.find(tx, attempt_id)
    if attempt is None or attempt.state != "unknown" or attempt.resends != 0:
        return False
    await not_taken(tx, attempt, refused, {"words": f"{refused.text} ({refused.fault.value}, {by})"})
    if refused.fault is not Fault.PASSING:
        await dispatch.plan(tx, attempt.order_id, None, LEARNED)
    return True
