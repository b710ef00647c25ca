"""The two ways of a request's line say the same."""

import asyncio
import json
from collections.abc import Iterator

import pytest
import structlog

from gateway.request_log import RequestLine, SentLine, request_log, sent_log, tell_with_structlog, write_with_structlog
from gateway.settings import Settings
from gateway.telemetry import configure_logging

LINE = RequestLine("POST", "/api/v2", 200, 1.25, "r-1")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


async def test_a_line_in_json_has_the_fields_of_all_other_lines(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(log_format="json")
    configure_logging(settings)
    structlog.contextvars.bind_contextvars(request_id="r-1")
    write_with_structlog(LINE)
    quick = request_log(settings)
    quick(LINE)
    quick(LINE)
    await asyncio.sleep(0)
    slow, *others = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(others) == 2
    for other in others:
        assert list(other) == list(slow)
        assert {**other, "timestamp": ""} == {**slow, "timestamp": ""}
        assert len(other["timestamp"]) == len(slow["timestamp"])


async def test_nothing_is_written_where_the_level_leaves_it_out(capsys: pytest.CaptureFixture[str]) -> None:
    for log_format in ("json", "console"):
        request_log(Settings(log_level="warning", log_format=log_format))(LINE)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert capsys.readouterr().err == ""


async def test_a_line_of_a_send_has_them_too_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(log_format="json")
    configure_logging(settings)
    structlog.contextvars.clear_contextvars()
    line = SentLine(100_001, "0190c3e2-0000-7000-8000-000000000001", "Accepted", "yb_" + "k" * 36)
    tell_with_structlog(line)
    sent_log(settings)(line)
    await asyncio.sleep(0)
    slow, quick = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert list(quick) == list(slow)
    assert {**quick, "timestamp": ""} == {**slow, "timestamp": ""}
    assert quick["upstream_id"] == "***"
