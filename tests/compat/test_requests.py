"""What a call to a panel looks like on its way out."""

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from compat.dialects import STANDARD
from compat.transport import request_to

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["https://example.com/p/1?a=b&c=d", "a b", "~._-", "100%", "1+1", "ä", "0", ""]
)


@given(fields=st.dictionaries(TEXTS, TEXTS, max_size=5), key=TEXTS)
def test_a_form_is_quoted_as_forms_are(fields: dict[str, str], key: str) -> None:
    sent = request_to(URL("https://panel.example/api/v2"), key, STANDARD, "add", fields)
    assert sent.body.decode("ascii") == urlencode({**fields, "action": "add", STANDARD.key: key})
