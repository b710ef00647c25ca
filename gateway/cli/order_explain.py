"""`gateway order explain`: why an order went where it went, and what it waits for."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.output import json_option, print_json
from gateway.cli.parameters import order_number
from gateway.cli.surroundings import with_database

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.dispatch.explaining.store import Ending, Send
    from gateway.dispatch.explaining.story import Story, Waiting
    from gateway.settings import Settings

_STATES = {
    "sending": "under way",
    "accepted": "accepted",
    "refused": "refused",
    "not_sent": "not sent",
    "unknown": "unknown: it may have been placed, so it is never sent again by itself",
    "written_off": "unknown, and written off: it is never sent again",
    "not_placed": "not placed after all",
}
_ENDS = {
    "Reported": "the upstream reported it",
    "WasRefused": "the upstream refused it and no route was left",
    "QueuedTooLong": "no route took it in time",
    "GaveUp": "nobody knows whether it was placed; the hold was released",
    "CancelWanted": "it was cancelled before it was sent",
    "ChildChanged": "its runs ended",
}


@click.command()
@click.argument("number", metavar="N", type=order_number)
@json_option
def explain(number: int, as_json: bool) -> None:
    """Tell which routes were weighed for an order, what came of each send, and what it waits for."""
    import msgspec

    async def action(db: "Database", settings: "Settings") -> "Story":
        from gateway.dispatch.explaining.story import explain_order

        return await explain_order(db, number)

    story = with_database(action)
    if as_json:
        print_json(msgspec.to_builtins(story))
        return
    for line in _lines(story):
        click.echo(line)


def _lines(story: "Story") -> Iterator[str]:
    yield f"order {story.number} of service {story.service}: {story.status}, {story.dispatch}"
    for count, send in enumerate(story.sends, 1):
        yield f"send {count} at {_time(send.at)}: to {send.provider} as {send.provider_service_id}"
        yield from _send_lines(send)
    if not story.sends:
        yield "its runs are sent, not it" if story.dispatch == "parent" else "it was never sent"
    if story.runs:
        yield f"runs: {', '.join(map(str, story.runs))}"
    if story.waiting is not None:
        yield from _waiting_lines(story.waiting)
    if story.ended is not None:
        yield from _ending_lines(story.ended)


def _send_lines(send: "Send") -> Iterator[str]:
    if send.considered is None:
        yield "  it was the only route"
    for verdict in send.considered or ():
        yield f"  route {_verdict(verdict['provider'], verdict['provider_service_id'], verdict['why_not'])}"
    upstream_id = f" as {send.upstream_id}" if send.upstream_id else ""
    reason = f": {send.reason}" if send.reason else ""
    at = f" at {_time(send.finished_at)}" if send.finished_at else ""
    yield f"  {_STATES.get(send.state, send.state)}{upstream_id}{at}{reason}"
    for what, value in (send.evidence or {}).items():
        yield f"  evidence, {what}: {' '.join(str(value).split())}"
    if send.copies:
        yield f"  the same was sent again under its key {send.copies} times"


def _waiting_lines(waiting: "Waiting") -> Iterator[str]:
    yield f"queued since {_time(waiting.since)}, {'due since' if waiting.is_due else 'due at'} {_time(waiting.due_at)}"
    if waiting.cancel_wanted:
        yield "  it is not sent: the customer wants it cancelled"
    if not waiting.routes:
        yield "  its service has no route"
    for verdict in waiting.routes:
        yield f"  route {_verdict(verdict.provider, verdict.provider_service_id, verdict.why_not)}"
    if waiting.planned_for:
        yield f"  it stands in the queue of {waiting.planned_for}"
    yield "  whether a provider has a free slot, and whether its breaker is open, each worker knows for itself"


def _ending_lines(ended: "Ending") -> Iterator[str]:
    word = ended.details.get("word")
    yield f"ended at {_time(ended.at)}: {_ENDS.get(ended.kind, ended.kind)}{f' as {word}' if word else ''}"
    if reason := ended.details.get("reason"):
        yield f"  {' '.join(str(reason).split())}"


def _verdict(provider: str, provider_service_id: str, why_not: str | None) -> str:
    return f"{provider} {provider_service_id}: {why_not or 'taken'}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
