"""Loggers that bring their library with their first line: a short command has none, and structlog takes a while."""

from typing import Any


class Logger:
    """structlog's logger of this name: `info`, `warning`, `exception` … with an event and its fields."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        return getattr(structlog.get_logger(self._name), method)
