"""What log lines hide, and that hiding it takes no longer for hostile text."""

import re

import pytest

from gateway import telemetry
from gateway.telemetry import mask_secrets, mask_text


@pytest.mark.parametrize(
    "text",
    [
        "api_token=hunter2&action=add",
        "GET /api/v2?key=hunter2",
        "{'api_token': 'hunter2'}",
        '{"api_key": "hunter2"}',
        "access_token=hunter2",
        "postgresql://gateway:hunter2@db/gateway",
        "redis+cluster://:hunter2@cache:7000",
    ],
)
def test_a_secret_is_not_in_the_masked_text(text: str) -> None:
    masked = mask_text(text)
    assert "hunter2" not in masked
    assert "***" in masked


def test_a_field_named_as_a_secret_is_masked_whole() -> None:
    assert mask_secrets(None, "", {"api_token": "hunter2", "order": 7}) == {"api_token": "***", "order": 7}


def test_a_long_text_loses_its_end_and_a_secret_that_was_cut() -> None:
    text = "a" * 16_370 + " redis://:hunter2-and-a-long-remainder@cache"
    masked = mask_text(text)
    assert len(masked) < 16_384
    assert "hunter2" not in masked


def test_the_pattern_of_passwords_has_a_bound_for_each_repetition() -> None:
    assert not re.search(r"[*+](?![^\[]*\])", telemetry._URL_PASSWORD.pattern)
