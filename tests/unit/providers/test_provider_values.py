"""What a provider's URL, key and markup may be."""

from decimal import Decimal

import pytest

from gateway.errors import Conflict
from gateway.providers.model import check_api_key, check_markup, check_name, check_url


@pytest.mark.parametrize(
    "url", ["https://panel.example/api/v2", " http://10.0.0.1:8080/api ", "https://[::1]/api/v2?x=1"]
)
def test_an_address_over_http_is_taken(url: str) -> None:
    assert check_url(url) == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "panel.example/api",
        "ftp://panel.example/",
        "https:///api",
        "https://me:secret@panel.example/",
        "https://[",
        "https://panel.example:port/",
        "https://panel.example/a b",
        "https://panel.example/#top",
        "file:///etc/passwd",
        "http://panel.example\\api/v2",
        "http://\u3002/",
        "https://panel.example:70000/",
        "https://panel.example/\ud800",
    ],
)
def test_anything_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Conflict) as refusal:
        check_url(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("percent", ["-100.1", "100000", "1.00001", "NaN", "Infinity"])
def test_a_markup_that_cannot_be_kept_is_refused(percent: str) -> None:
    with pytest.raises(Conflict):
        check_markup(Decimal(percent))


def test_a_key_is_one_line_and_a_name_is_not_empty() -> None:
    assert check_api_key(" abc\n") == "abc"
    for text in ("", " \n", "a\nb"):
        with pytest.raises(Conflict):
            check_api_key(text)
        with pytest.raises(Conflict):
            check_name(text)
