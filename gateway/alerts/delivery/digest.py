"""What is said of many alerts at once: grouped by kind, bounded, without secrets. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from gateway.alerts.conditions.store import Severity
from gateway.telemetry import mask_text

SHOWN_OF_A_KIND_MAX = 10
MESSAGE_CHARS_MAX = 500
_ORDER: dict[Severity, int] = {"critical": 0, "warning": 1, "info": 2}


class News(msgspec.Struct, frozen=True):
    """An alert that is to be told; times are the database's."""

    id: UUID
    kind: str
    severity: Severity
    subject: str
    message: str
    count: int
    raised_at: datetime
    last_at: datetime
    cleared_at: datetime | None


class Digest(msgspec.Struct, frozen=True):
    """One message: `groups` are (news of one kind, some of them; how many there are), the gravest first."""

    groups: tuple[tuple[tuple[News, ...], int], ...]
    is_test: bool = False


TEST = Digest((), is_test=True)


def compose(news: Iterable[News]) -> Digest:
    """At most ten of each kind are shown, open and cleared apart, the rest is counted."""
    kinds: dict[tuple[bool, int, str], list[News]] = {}
    for one in news:
        kinds.setdefault((one.cleared_at is not None, _ORDER[one.severity], one.kind), []).append(one)
    return Digest(tuple(_group(members) for _, members in sorted(kinds.items())))


def _group(members: Sequence[News]) -> tuple[tuple[News, ...], int]:
    return tuple(sorted(members, key=lambda one: one.id)[:SHOWN_OF_A_KIND_MAX]), len(members)


def subject_line(digest: Digest) -> str:
    """`2 critical, 1 warning, 3 cleared`; nothing in it was written by others."""
    if digest.is_test:
        return "[gateway] a test of the alerts"
    counts: Counter[str] = Counter()
    for shown, total in digest.groups:
        counts["cleared" if shown[0].cleared_at else shown[0].severity] += total
    words = [f"{counts[word]} {word}" for word in ("critical", "warning", "info", "cleared") if counts[word]]
    return f"[gateway] {', '.join(words)}"


def text_of(digest: Digest) -> str:
    """The message for people."""
    if digest.is_test:
        return "This is a test: alerts of the gateway reach you here.\n"
    parts = [_text_of_group(shown, total) for shown, total in digest.groups]
    return "\n\n".join(parts) + "\n\ngateway alerts shows all that are open.\n"


def _text_of_group(shown: Sequence[News], total: int) -> str:
    first = shown[0]
    title = f"{'cleared' if first.cleared_at else first.severity.upper()}: {first.kind} ({total})"
    lines = [_line(one) for one in shown]
    if total > len(shown):
        lines.append(f"  … and {total - len(shown)} more of this kind")
    return "\n".join([title, *lines])


def _line(one: News) -> str:
    until = f", until {_minute(one.cleared_at)}" if one.cleared_at else f", {one.count} times"
    return f"  {one.subject}: {said(one.message)} (since {_minute(one.raised_at)}{until})"


def said(message: str) -> str:
    """On one line, bounded, and with what looks like a secret masked."""
    text = " ".join(mask_text(message).split())
    return text if len(text) <= MESSAGE_CHARS_MAX else text[: MESSAGE_CHARS_MAX - 1] + "…"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def body_of(digest: Digest, now: datetime) -> dict[str, Any]:
    """The message for programs, in the form of Standard Webhooks: `type`, `timestamp`, `data`."""
    data: dict[str, Any] = {
        "alerts": [_fields(one) for shown, _ in digest.groups for one in shown],
        "more": sum(total - len(shown) for shown, total in digest.groups),
    }
    return {"type": "alerts.test" if digest.is_test else "alerts", "timestamp": now, "data": data}


def _fields(one: News) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "severity": one.severity,
        "state": "cleared" if one.cleared_at else "open",
        "subject": one.subject,
        "message": said(one.message),
        "count": one.count,
        "raised_at": one.raised_at,
        "last_at": one.last_at,
        "cleared_at": one.cleared_at,
    }
