"""What is said of many alerts at once."""

from datetime import UTC, datetime
from uuid import UUID

from dirty_equals import IsPartialDict

from gateway.alerts.conditions.store import Severity
from gateway.alerts.delivery.digest import News, body_of, compose, said, subject_line, text_of

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def news(number: int, *, kind: str = "stuck_orders", severity: Severity = "warning", cleared: bool = False) -> News:
    ended = NOON if cleared else None
    return News(UUID(int=number), kind, severity, f"subject {number}", "said", number, NOON, NOON, ended)


def test_the_gravest_stands_first_and_what_is_over_last() -> None:
    digest = compose(
        [
            news(1, kind="reseller_low", severity="info"),
            news(2, kind="unknown_order", severity="critical", cleared=True),
            news(3),
            news(4, kind="worker_silent", severity="critical"),
        ]
    )
    assert subject_line(digest) == "[gateway] 1 critical, 1 warning, 1 info, 1 cleared"
    text = text_of(digest)
    places = [text.index(f"subject {number}") for number in (4, 3, 1, 2)]
    assert places == sorted(places)
    assert "subject 2: said (since 2026-11-03 12:00 UTC, until 2026-11-03 12:00 UTC)" in text


def test_a_message_is_bounded_whatever_happens_at_once() -> None:
    digest = compose(news(number) for number in range(1, 1001))
    assert len(text_of(digest)) < 2000
    data = body_of(digest, NOON)["data"]
    assert (len(data["alerts"]), data["more"]) == (10, 990)
    assert data["alerts"][0] == IsPartialDict(subject="subject 1", state="open", count=1)


def test_a_message_of_others_is_one_bounded_line() -> None:
    assert said("one\r\nSubject: two") == "one Subject: two"
    assert len(said("x" * 10_000)) == 500
