"""`/v1/admin/providers/{provider}/words`: what a provider's own words of refusal were taught to mean."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway import errors
from gateway.accounts.scopes import Scope
from gateway.api.v1 import once
from gateway.api.v1.calls import Call, Reply
from gateway.api.v1.formats import LIMIT_MAX, Number, Page
from gateway.api.v1.operations import operation
from gateway.api.v1.resources.admin.providers import find_provider
from gateway.db.engine import Transaction
from gateway.dispatch.unknowns import teaching
from gateway.errors import NotFound
from gateway.providers.words import store
from gateway.providers.words.model import WORDS_CHARS_MAX, check_words

Meaning = Literal["refused", "provider", "passing"]
Words = Annotated[str, Meta(min_length=1, max_length=WORDS_CHARS_MAX, examples=["This profile is private"])]


class TaughtWords(msgspec.Struct, frozen=True):
    """Words, as they are compared, and their meaning: the order's fault, the provider's, or nobody's for long."""

    words: str
    meaning: Meaning
    created_at: datetime


class WordsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows of the list; `after` is `next` of the page before."""

    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 25
    after: Words | None = None


class NewWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An error text of the provider and what it means; with `dry_run` nothing is kept."""

    words: Words
    meaning: Meaning
    dry_run: bool = False


class ForgottenWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The words that are to be unknown again."""

    words: Words


class ResolvedOrder(msgspec.Struct, frozen=True):
    """An unknown order that these words answered, and whose fault they say it was."""

    order: Number
    fault: str
    text: str


class Lesson(msgspec.Struct, frozen=True):
    """The words as they are kept, and at most 1000 of the unknown orders that they resolve."""

    words: str
    meaning: Meaning
    dry_run: bool
    resolves: list[ResolvedOrder]


@operation(
    "GET", "/admin/providers/{provider}/words", scope=Scope.ADMIN, tag="admin: providers", returns=Page[TaughtWords]
)  # fmt: skip
async def admin_list_words(call: Call, query: WordsQuery) -> Reply:
    """List the words that a provider's refusals were taught with, by the alphabet."""
    async with call.db.snapshot() as tx:
        provider = await find_provider(call, tx)
        found = await store.list_of(tx, provider.id, after=query.after or "", most=query.limit + 1)
    shown = [TaughtWords(each.words, each.meaning, each.created_at) for each in found[: query.limit]]
    has_more = len(found) > query.limit
    return Reply(Page(shown, shown[-1].words if has_more else None, has_more))


@operation(
    "POST",
    "/admin/providers/{provider}/words",
    scope=Scope.ADMIN,
    tag="admin: providers",
    example={"words": "This service is paused", "meaning": "provider", "dry_run": True},
    returns=Lesson,
    refuses=(errors.Conflict,),
)
async def admin_teach_words(call: Call, body: NewWords) -> Reply:
    """Say what an error text of a provider means.

    The worker resolves within seconds what is unknown for want of it; the orders are told here, with `dry_run` too.
    """

    async def teach(tx: Transaction) -> Reply:
        provider = await find_provider(call, tx)
        words = check_words(body.words)
        found = await teaching.list_resolvable(tx, provider.id, words, body.meaning)
        if not body.dry_run:
            await store.save(tx, provider.id, words, body.meaning)
        resolves = [ResolvedOrder(each.order, each.fault.value, each.text) for each in found]
        return Reply(Lesson(words, body.meaning, body.dry_run, resolves))

    return await once.once(call, teach, call.acting())


@operation(
    "DELETE", "/admin/providers/{provider}/words", scope=Scope.ADMIN, tag="admin: providers", returns=None,
    status=204, refuses=(errors.Conflict,),
)  # fmt: skip
async def admin_forget_words(call: Call, query: ForgottenWords) -> Reply:
    """Let words be unknown again; what they resolved stays so."""
    async with call.acting().transaction() as tx:
        provider = await find_provider(call, tx)
        if not await store.delete(tx, provider.id, check_words(query.words)):
            raise NotFound("words")
    return Reply(None, 204)


OPERATIONS = [admin_list_words, admin_teach_words, admin_forget_words]
