"""The table of kinds, and an `add` read by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.drafts import Draft, read_draft
from compat.errors import PanelError
from compat.forms import LINE_FIELDS
from compat.kinds import RULES, Counting, Kind, parse_kind

LINK = "https://example.com/p/1"
LINKED = sorted(set(Kind) - {Kind.SUBSCRIPTIONS})


def _refusal(kind: Kind, fields: dict[str, str]) -> str:
    with pytest.raises(PanelError) as refused:
        read_draft(kind, fields)
    assert refused.value.status == 200
    return refused.value.text


def test_every_kind_has_its_rule() -> None:
    assert set(RULES) == set(Kind)
    assert len(Kind) == 17


def test_a_kind_is_counted_by_a_field_that_it_has() -> None:
    for rule in RULES.values():
        assert (rule.counting is Counting.FIELD) == ("quantity" in rule.fields)
        if rule.counting is Counting.LINES:
            assert rule.lines in rule.fields
        assert rule.lines is None or rule.lines in LINE_FIELDS


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_is_known_whatever_its_case(kind: Kind) -> None:
    assert parse_kind(f"  {kind.value.upper().replace(' ', '  ')} ") is kind


@pytest.mark.parametrize("name", ["", "Defaults", "default order"])
def test_other_types_are_not_kinds(name: str) -> None:
    assert parse_kind(name) is None


@pytest.mark.parametrize(
    ("kind", "fields", "draft"),
    [
        (Kind.DEFAULT, {"quantity": "100"}, Draft(LINK, 100, {})),
        (Kind.DEFAULT, {"quantity": "0", "username": "x"}, Draft(LINK, 0, {})),
        (Kind.PACKAGE, {"quantity": "100"}, Draft(LINK, 1, {})),
        (Kind.CUSTOM_COMMENTS, {"comments": "a\r\n\r\nb\\nc"}, Draft(LINK, 3, {"comments": "a\nb\nc"})),
        (Kind.CUSTOM_COMMENTS, {"comments": "a", "quantity": "junk"}, Draft(LINK, 1, {"comments": "a"})),
        (Kind.CUSTOM_COMMENTS_PACKAGE, {"comments": "a\nb"}, Draft(LINK, 1, {"comments": "a\nb"})),
        (Kind.PACKAGE, {"runs": "3"}, Draft(LINK, 1, {})),
    ],
)
def test_an_order_is_read_as_its_kind_wants(kind: Kind, fields: dict[str, str], draft: Draft) -> None:
    assert read_draft(kind, {"link": LINK, **fields}) == draft


@pytest.mark.parametrize("kind", LINKED)
@pytest.mark.parametrize("link", [None, "", "  ", "a\tb", "a\nb", "a\x7fb", "a\x85b", "a\ud800b", "a" * 2049])
def test_a_link_that_cannot_be_one_is_refused(kind: Kind, link: str | None) -> None:
    fields = {"quantity": "5", "comments": "a"} | ({} if link is None else {"link": link})
    assert _refusal(kind, fields) == "Incorrect link"


@pytest.mark.parametrize("quantity", [None, "", "1e3", "+5", "-5", "5.0", "1_0", "\u0665", "1234567890", " 5"])
def test_a_quantity_is_digits_only(quantity: str | None) -> None:
    fields = {"link": LINK} | ({} if quantity is None else {"quantity": quantity})
    assert _refusal(Kind.DEFAULT, fields) == "Incorrect quantity"


@pytest.mark.parametrize("kind", [Kind.CUSTOM_COMMENTS, Kind.CUSTOM_COMMENTS_PACKAGE])
@pytest.mark.parametrize("fields", [{}, {"comments": ""}, {"comments": " \n\\n\r\n"}])
def test_comments_without_a_line_are_refused(kind: Kind, fields: dict[str, str]) -> None:
    assert _refusal(kind, {"link": LINK, **fields}) == "Incorrect request"


@pytest.mark.parametrize("character", ["\0", "\x08", "\x0b", "\r", "\x1b", "\x7f", "\x85", "\ud800"])
def test_a_detail_with_a_control_character_or_half_a_character_is_refused(character: str) -> None:
    fields = {"link": LINK, "comments": f"one\ntwo{character}three"}
    assert _refusal(Kind.CUSTOM_COMMENTS, fields) == "Incorrect request"


def test_a_detail_may_hold_tabs_and_any_whole_character() -> None:
    comments = "a\tb\n\U0001f600 \u200f\u0645"
    assert read_draft(Kind.CUSTOM_COMMENTS, {"link": LINK, "comments": comments}).details == {"comments": comments}


def test_one_run_is_no_drip_feed() -> None:
    for runs in ("0", "1", ""):
        draft = read_draft(Kind.DEFAULT, {"link": LINK, "quantity": "5", "runs": runs, "interval": "9"})
        assert draft == Draft(LINK, 5, {})


@pytest.mark.parametrize("kind", [kind for kind in Kind if RULES[kind].drips])
def test_a_kind_that_drips_has_the_quantity_of_one_run(kind: Kind) -> None:
    fields = {"link": LINK, "quantity": "5", "country": "DE", "device": "1", "type_of_traffic": "3"}
    draft = read_draft(kind, {**fields, "runs": "7", "interval": "30"})
    assert (draft.quantity, draft.runs, draft.interval_minutes) == (5, 7, 30)
    assert "runs" not in draft.details


@given(st.integers(0, 700))
def test_the_delays_of_a_subscription_are_those_of_the_protocol(delay: int) -> None:
    fields = {"username": "ann", "min": "1", "max": "2", "delay": str(delay)}
    if delay in (0, 5, 10, 15) or (delay % 30 == 0 and 30 <= delay <= 600):
        assert read_draft(Kind.SUBSCRIPTIONS, fields).details["delay"] == str(delay)
    else:
        assert _refusal(Kind.SUBSCRIPTIONS, fields) == "Incorrect request"
