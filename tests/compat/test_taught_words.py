"""Words of refusal that a panel has for itself: unknown until they are taught, then what they were taught to mean."""

import msgspec
import pytest

from compat.client import PanelClient
from compat.errors import Fault, fold
from compat.replies import UNKNOWN_WORDS, classify_add
from compat.transport import read_evidence
from compat.wire import Accepted, AddOutcome, Refused, Unknown
from tests.integration.scripted_panel import open_panel

WORDS = "Link is private!  Try a PUBLIC one."
TAUGHT = {fold(WORDS): Fault.ORDER}
ORDER = {"link": "https://example.com/p/1", "quantity": "10"}


def classed(answer: object, status: int = 200) -> AddOutcome:
    return classify_add(status, msgspec.json.encode(answer), taught=TAUGHT)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": WORDS},
        {"errors": [WORDS]},
        {"status": "fail", "msg": WORDS},
        {"error": "link is private! try a public one"},
    ],
)
def test_taught_words_are_a_refusal_wherever_they_stand_and_however_they_are_spelt(answer: object) -> None:
    assert isinstance(outcome := classed(answer), Refused)
    assert outcome.fault is Fault.ORDER


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"error": WORDS, "order": 7}, 200),
        ({"error": WORDS}, 502),
        ({"error": WORDS + " Order 7 was placed"}, 200),
        ({"error": [WORDS, "and something else"]}, 200),
        ({"error": [WORDS, {"order": 7}]}, 200),
        ({"error": WORDS + " " * 500 + "but order 7 was placed"}, 200),
    ],
)
def test_taught_words_beside_anything_else_stay_unknown(answer: object, status: int) -> None:
    assert isinstance(classed(answer, status), Unknown)


def test_what_was_taught_goes_before_what_is_built_in() -> None:
    body = msgspec.json.encode({"error": "Incorrect request"})
    assert classify_add(200, body) == Refused(Fault.PROVIDER, "Incorrect request")
    taught = {"incorrect request": Fault.ORDER}
    assert classify_add(200, body, taught=taught) == Refused(Fault.ORDER, "Incorrect request")


def test_teaching_makes_no_order_of_an_error_and_no_error_of_an_order() -> None:
    assert classed({"order": 7}) == Accepted("7")


async def test_a_client_that_is_taught_while_it_runs_knows_the_words_of_the_evidence_that_it_gave() -> None:
    async with open_panel() as panel, PanelClient(panel.url, "a-key") as client:
        panel.answers["add"] = {"error": WORDS}
        unknown = await client.add("1", ORDER)
        assert isinstance(unknown, Unknown)
        assert unknown.reason == UNKNOWN_WORDS
        assert read_evidence(unknown.evidence) == (
            200,
            msgspec.json.encode({"error": WORDS}).decode().replace(":", ": "),
        )
        client.taught = TAUGHT
        assert await client.add("1", ORDER) == Refused(Fault.ORDER, WORDS)


@pytest.mark.parametrize("text", ["", "no answer in time", "HTTP\n\n{}", "HTTP 2000\n\n{}"])
def test_what_is_no_reply_is_not_read_as_one(text: str) -> None:
    assert read_evidence(text) is None


def test_a_reply_without_headers_is_read_from_its_first_line() -> None:
    assert read_evidence("HTTP 400\n\nServer: x") == (400, "Server: x")
