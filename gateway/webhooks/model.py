"""Endpoints, what is delivered to them, and when it is tried again; pure."""

import base64
import random
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from gateway.errors import Invalid
from gateway.events.payloads import FORMS, VERSION
from gateway.reachable import is_private, is_public

TYPES = tuple(FORMS)
"""Every type of event."""
WILDCARDS = ("*", *dict.fromkeys(kind.partition(".")[0] + ".*" for kind in TYPES))

ENDPOINTS_MAX = 20
"""Of one user."""
JITTER = 0.2
RETRY_AFTER_S_MAX = 86_400.0
FAILING_S_MAX = 259_200.0
"""An endpoint that took nothing for so long is switched off."""
URL_CHARS_MAX = 2048


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A user's endpoint, without its secrets. `previous_expires_at`: until then the secret before signs too."""

    id: UUID
    user_id: UUID
    url: str
    events: list[str]
    description: str | None
    is_active: bool
    disabled_reason: str | None
    failing_since: datetime | None
    last_triggered_at: datetime | None
    previous_expires_at: datetime | None
    created_at: datetime


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is to be sent now: the `attempt`-th time. The secrets are sealed, the newest first."""

    delivery_id: UUID
    webhook_id: UUID
    url: str
    secret: str
    previous_secret: str | None
    attempt: int
    event_id: UUID
    event_type: str
    object_type: str
    object_id: UUID
    sequence: int
    data: dict[str, Any]
    created_at: datetime


class Message(msgspec.Struct, frozen=True):
    """The body of a delivery; the same bytes at every attempt.

    `sequence` counts the events of one object. `version` is that of the form of `data`.
    """

    id: UUID
    type: str
    version: int
    sequence: int
    timestamp: datetime
    object: dict[str, str]
    data: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one call. `status` is None where no answer came; `error` says why, without any secret."""

    status: int | None
    error: str | None
    response: str | None
    duration_ms: int
    retry_after_s: float | None = None

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """The receiver wants nothing any more."""
        return self.status == 410


def message_of(due: Due) -> Message:
    """What is sent."""
    return _message(
        due.event_id, due.event_type, due.sequence, due.created_at, due.object_type, due.object_id, due.data
    )


def body_of_event(row: Mapping[str, Any]) -> Message:
    """What is sent of an event's row."""
    return _message(
        row["id"], row["type"], row["sequence"] or 0, row["created_at"], row["object_type"], row["object_id"],
        row["data"],
    )  # fmt: skip


def _message(
    event_id: UUID, kind: str, sequence: int, at: datetime, object_type: str, object_id: UUID, data: dict[str, Any]
) -> Message:
    """Prices of services are left out: everyone has his own, and `GET /v1/services` tells it."""
    if object_type == "service":
        data = {name: _unpriced(value) for name, value in data.items()}
    return Message(event_id, kind, VERSION, sequence, at, {"type": object_type, "id": str(object_id)}, data)


def _unpriced(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if name != "price"}


def next_delay(attempt: int, retry_after_s: float | None, delays_s: Sequence[float]) -> timedelta | None:
    """How long to wait after the `attempt`-th failed; None after the last.

    What `Retry-After` asks for is granted, to a day, but never shortens the wait.
    """
    if attempt > len(delays_s):
        return None
    wait_s = delays_s[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    return timedelta(seconds=max(wait_s, min(retry_after_s or 0.0, RETRY_AFTER_S_MAX)))


def new_secret() -> str:
    """`whsec_` and 32 random bytes, as Standard Webhooks has it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def checked_events(events: Sequence[str]) -> list[str]:
    """Sorted, each once.

    Raises:
        Invalid: one is neither a type of event nor a wildcard, or there is none.
    """
    unknown = [index for index, each in enumerate(events) if each not in TYPES and each not in WILDCARDS]
    if unknown or not events:
        raise Invalid(
            [(f"$.events[{index}]", "there is no such event") for index in unknown] or [("$.events", "empty")]
        )
    return sorted(set(events))


def checked_url(url: str, *, allow_private: bool) -> str:
    """The address of an endpoint, as far as it can be told before a socket is made.

    Raises:
        Invalid: no http or https address, with a user in it, or of a host that is not public.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    wrong = None
    if parts.scheme not in ("https", "http") or not host or len(url) > URL_CHARS_MAX or re.search(r"[^\x21-\x7e]", url):
        wrong = "it is not an address that begins with https:// or http://"
    elif parts.username is not None or parts.password is not None:
        wrong = "it has a user or a password in it"
    elif port == 0 or not _is_allowed(host, allow_private=allow_private):
        wrong = "it is not of a public host"
    if wrong:
        raise Invalid([("$.url", wrong)])
    return url


def _is_allowed(host: str, *, allow_private: bool) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return allow_private or not (host == "localhost" or host.endswith((".localhost", ".local", ".internal")))
    return is_public(address) or (allow_private and is_private(address))
