"""Logging: one line an event on stderr, ours and the libraries', with every secret masked."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.settings import Settings

MASK = "***"
SECRET_NAMES = frozenset(
    {
        *("key", "keys", "api_key", "apikey", "x-api-key", "secret", "secrets", "secret_key"),
        *("password", "password_hash", "new_password", "authorization", "proxy-authorization"),
        *("token", "api_token", "apitoken", "access_token", "refresh_token", "cookie", "set-cookie"),
    }
)
_NESTING_MAX = 6
_CHARACTERS_MAX = 16_384
_LONGEST_SECRET = 2_048
_API_KEY = re.compile(r"yb_[0-9A-Za-z]{36}")
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,256}:)[^\s@]{1,1024}@")
_FIELD = r"(?:api_?(?:key|token)|(?:access_|refresh_)?token|key|secret|password)"
_FORM_FIELD = re.compile(rf"\b({_FIELD}=)[^\s&\"',;)\]}}]+", re.IGNORECASE)
_QUOTED_FIELD = re.compile(
    rf"""(["'](?:{_FIELD}|authorization)["']\s*[:,]\s*b?)(["']).*?\2""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[0-9A-Za-z._~+/=-]{8,}", re.IGNORECASE)


def configure_logging(settings: Settings) -> None:
    """Send structlog's events and the standard library's records to stderr in one form.

    Fields bound by `structlog.contextvars` (`request_id`) are in every line of their task.
    Calling it again replaces what the first call set up.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _drop_color_message,
                structlog.processors.format_exc_info,
                mask_secrets,
                _renderer(settings),
            ],
        )
    )
    _route_everything_to(handler, level)


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor; put it after exceptions are text and before the line is made."""
    return {name: _masked(name, value, 0) for name, value in event.items()}


def mask_text(text: str) -> str:
    """The text without API keys, passwords of addresses and values of secret form fields.

    A text beyond 16 kB loses its end, and with it a secret that the cut may have made unrecognizable.
    """
    if len(text) > _CHARACTERS_MAX:
        return _without_secrets(text[:_CHARACTERS_MAX])[:-_LONGEST_SECRET] + "…"
    return _without_secrets(text)


def _without_secrets(text: str) -> str:
    if text.isalnum():
        return text  # an id or a word: every secret below has a sign beside letters and digits
    text = _API_KEY.sub(MASK, text)
    text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
    text = _FORM_FIELD.sub(rf"\1{MASK}", text)
    text = _QUOTED_FIELD.sub(rf"\1\2{MASK}\2", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def _masked(name: object, value: object, depth: int) -> object:
    if isinstance(name, str) and name.lower() in SECRET_NAMES and value is not None:
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if depth < _NESTING_MAX:
        if isinstance(value, Mapping):
            return {mask_text(str(key)): _masked(key, item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_masked(None, item, depth + 1) for item in value]
    return mask_text(str(value))


def _renderer(settings: Settings) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _drop_color_message(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """uvicorn says everything twice, once in colours."""
    event.pop("color_message", None)
    return event


def _route_everything_to(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        library: Any = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    # Its lines quote the query, where a caller may have put a key; `gateway.access` has a line of its own.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    access.disabled = True
