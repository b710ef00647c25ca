"""Whatever bytes come in: a request, or a refusal in the protocol's words."""

import json
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.codec import decode_add, decode_ids, decode_request, split_lines
from compat.drafts import read_draft
from compat.encode import encode_statuses
from compat.errors import PanelError
from compat.kinds import Kind

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"content-type", b"content-length", b"authorization", b"content-encoding", b"idempotency-key"]
        ),
        st.sampled_from(
            [b"application/json", b"multipart/form-data; boundary=XY", b"Bearer a", b"7", b"-1", b"\xff\xfe"]
        )
        | st.binary(max_size=30),
    ),
    max_size=4,
)
NAMES = st.sampled_from(
    [
        "key",
        "api_token",
        "action",
        "order",
        "orders",
        "orders[]",
        "order[0]",
        "comments",
        "comments[]",
        "service",
    ]
)
TEXTS = st.text(max_size=20) | st.sampled_from(["add", "null", "1,2", "2.5e7", "1e999", "a\\nb", "\x00"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
PARTS = st.lists(
    st.sampled_from(
        [
            b"--XY",
            b"--XY--",
            b"\r\n",
            b"\n",
            b'Content-Disposition: form-data; name="key"',
            b"; filename=a",
            b"{",
            b"x",
        ]
    ),
    max_size=14,
).map(b"".join)
BODIES = (
    st.binary(max_size=200)
    | st.lists(st.tuples(NAMES, TEXTS), max_size=8).map(lambda pairs: urlencode(pairs).encode())
    | st.dictionaries(NAMES | TEXTS, VALUES, max_size=8).map(lambda members: json.dumps(members).encode())
    | PARTS
)

Answer = TypeVar("Answer")


def _outcome(read: Callable[[], Answer]) -> Answer | PanelError:
    try:
        return read()
    except PanelError as error:
        return error


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", ""]),
    query=st.binary(max_size=60) | st.lists(st.tuples(NAMES, TEXTS)).map(lambda pairs: urlencode(pairs).encode()),
    headers=HEADERS,
    body=BODIES,
)
def test_a_request_is_read_or_refused_in_the_protocols_words(
    method: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    request = _outcome(lambda: decode_request(method, query, headers, body))
    if isinstance(request, PanelError):
        assert request.status in (400, 413)
        return
    for value in request.fields.values():
        assert value.strip()
        assert "\x00" not in value
        value.encode()


@given(st.dictionaries(NAMES | st.sampled_from(["link", "quantity", "runs"]), TEXTS), st.sampled_from(Kind))
def test_an_add_is_a_draft_or_a_refusal(fields: dict[str, str], kind: Kind) -> None:
    draft = _outcome(lambda: read_draft(kind, decode_add(fields).fields))
    if isinstance(draft, PanelError):
        assert draft.status == 200
        return
    assert draft.quantity >= 0
    assert draft.link.strip() == draft.link != ""


@given(TEXTS | st.lists(st.floats() | st.integers(), max_size=6).map(lambda ids: ",".join(map(str, ids))))
def test_every_id_that_is_sent_is_answered(text: str) -> None:
    ids = decode_ids(text)
    assert [sent for sent, _ in ids] == [piece.strip() for piece in text.split(",") if piece.strip()]
    assert set(msgspec.json.decode(encode_statuses(ids, {}))) == {sent for sent, _ in ids}
    assert all(number is None or 1 <= number <= 2147483647 for _, number in ids)


@given(st.text())
def test_lines_read_again_are_the_same_lines(text: str) -> None:
    lines = split_lines(text)
    assert split_lines("\n".join(lines)) == lines


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"], exclude_characters="\\"), max_size=40))
def test_a_value_is_read_as_it_was_written(value: str) -> None:
    if value.lower() in ("", "null", "nan", "undefined"):
        return
    form = decode_request("POST", b"", [], urlencode({"link": value}).encode())
    as_json = decode_request("POST", b"", [], json.dumps({"link": value}).encode())
    part = b'--X\r\nContent-Disposition: form-data; name="link"\r\n\r\n' + value.encode() + b"\r\n--X--\r\n"
    multipart = decode_request("POST", b"", [(b"content-type", b"multipart/form-data; boundary=X")], part)
    assert form.fields == as_json.fields == multipart.fields == {"link": value}


def test_a_key_is_not_in_the_repr_of_its_request() -> None:
    assert "hush" not in repr(decode_request("POST", b"", [], b"key=hush&action=balance"))


@pytest.mark.parametrize("body", [b"a=1&" * 80000, b"orders[]=1&" * 20000, b"&" * 262144])
def test_a_form_of_very_many_fields_is_refused(body: bytes) -> None:
    with pytest.raises(PanelError) as refused:
        decode_request("POST", b"", [], body[:262144])
    assert refused.value.status == 400
