"""The words for an order's status."""

import pytest

from compat.status import PanelStatus, UpstreamStatus, parse_status


def test_we_emit_six_words() -> None:
    assert [status.value for status in PanelStatus] == [
        "Pending",
        "Processing",
        "In progress",
        "Completed",
        "Partial",
        "Canceled",
    ]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("Pending", "PENDING", " pending ", "Queued", 0, "0"), UpstreamStatus.PENDING),
        (("Processing", "processing", 1, "1"), UpstreamStatus.PROCESSING),
        (
            ("In progress", "Inprogress", "in_progress", "IN-PROGRESS", "In  Progress", 2),
            UpstreamStatus.IN_PROGRESS,
        ),
        (("Completed", "Complete", "completed ", " " * 100 + "Completed", 3), UpstreamStatus.COMPLETED),
        (("Partial", "partial", 4, "4"), UpstreamStatus.PARTIAL),
        (("Canceled", "Cancelled", "CANCELED", "Rejected", 5), UpstreamStatus.CANCELED),
        (("Fail", "Failed", "Error"), UpstreamStatus.FAILED),
        (("Refund", "Refunded"), UpstreamStatus.REFUNDED),
    ],
)
def test_a_word_of_an_upstream_is_folded(words: tuple[object, ...], status: UpstreamStatus) -> None:
    assert {parse_status(word) for word in words} == {status}


@pytest.mark.parametrize("word", ["", "Awaiting", "6", 6, -1, "-1", None, True, False, 3.0, [], {}, "completed?"])
def test_an_unknown_word_has_no_meaning(word: object) -> None:
    assert parse_status(word) is None
