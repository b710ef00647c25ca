"""Marks of use are bounded, whatever happens to the database."""

from datetime import UTC, datetime
from uuid import uuid4

from gateway.accounts.usage import UsageMarks


def test_a_key_is_marked_once_and_strangers_wait_when_all_places_are_taken() -> None:
    marks = UsageMarks(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), keys_max=2)
    known = uuid4()
    for key_id in (known, known, uuid4(), uuid4(), known):
        marks.mark(key_id)
    assert len(marks) == 2
