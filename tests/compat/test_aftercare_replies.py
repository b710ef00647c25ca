"""Answers to cancel, refill and refill_status that are easily taken for something else."""

import pytest

from compat.reports import read_cancels, read_refill, read_refill_statuses
from compat.wire import CancelAnswer, RefillAnswer, RefillReport, RefillStatus


@pytest.mark.parametrize("word", ["false", "error", "Denied", "no", "failed"])
def test_one_word_that_is_no_yes_is_why_a_cancel_was_refused(word: str) -> None:
    assert read_cancels([{"order": 5, "cancel": word}], ["5"]) == {"5": CancelAnswer(error=word)}


@pytest.mark.parametrize("word", ["1", "true", "ok", "Canceled", "c_17", 17, True])
def test_an_id_or_a_yes_says_that_the_cancel_was_taken(word: object) -> None:
    assert read_cancels([{"order": 5, "cancel": word}], ["5"]) == {"5": CancelAnswer()}


def test_what_names_another_order_is_no_answer_about_ours() -> None:
    assert read_cancels({"order": 6, "cancel": 1}, ["5"]) == {}
    assert read_cancels({"order": "5", "cancel": 1}, ["5"]) == {"5": CancelAnswer()}
    assert read_refill({"order": 5, "refill": 1}, "5") == RefillAnswer(refill="1")
    assert read_refill([{"order": 5, "refill": 1}], "5") == RefillAnswer(refill="1")
    with pytest.raises(ValueError, match="another order"):
        read_refill({"order": 6, "refill": 1}, "5")


def test_the_status_of_one_refill_may_name_the_refill() -> None:
    done = RefillReport(word="Completed", status=RefillStatus.COMPLETED)
    assert read_refill_statuses({"refill": 5, "status": "Completed"}, ["5"]) == {"5": done}
    assert read_refill_statuses({"refill": 6, "status": "Completed"}, ["5"]) == {}
