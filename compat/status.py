"""The statuses that we emit and the words that upstreams use for them (protocol §4, §5)."""

import enum
import functools
import re


class PanelStatus(enum.StrEnum):
    """Exactly the words that clients read; anything else is pending for ever to them."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    IN_PROGRESS = "In progress"
    COMPLETED = "Completed"
    PARTIAL = "Partial"
    CANCELED = "Canceled"


class SubscriptionWord(enum.StrEnum):
    """What a subscription's status is, in the protocol's words."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    EXPIRED = "Expired"
    CANCELED = "Canceled"


class UpstreamStatus(enum.StrEnum):
    """What an upstream's word means to us, folded."""

    PENDING = "pending"
    PROCESSING = "processing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    PARTIAL = "partial"
    CANCELED = "canceled"
    FAILED = "failed"
    REFUNDED = "refunded"
    ACTIVE = "active"
    PAUSED = "paused"
    EXPIRED = "expired"
    """The last three are said of subscriptions alone."""


_CHARS_KEPT = 64
"""A longer text is no word of any panel, and is not to fill the memory."""

_WORDS: dict[str, UpstreamStatus] = {
    "pending": UpstreamStatus.PENDING,
    "queued": UpstreamStatus.PENDING,
    "processing": UpstreamStatus.PROCESSING,
    "inprogress": UpstreamStatus.IN_PROGRESS,
    "completed": UpstreamStatus.COMPLETED,
    "complete": UpstreamStatus.COMPLETED,
    "partial": UpstreamStatus.PARTIAL,
    "canceled": UpstreamStatus.CANCELED,
    "cancelled": UpstreamStatus.CANCELED,
    "rejected": UpstreamStatus.CANCELED,
    "fail": UpstreamStatus.FAILED,
    "failed": UpstreamStatus.FAILED,
    "error": UpstreamStatus.FAILED,
    "refund": UpstreamStatus.REFUNDED,
    "refunded": UpstreamStatus.REFUNDED,
    "active": UpstreamStatus.ACTIVE,
    "paused": UpstreamStatus.PAUSED,
    "expired": UpstreamStatus.EXPIRED,
    "0": UpstreamStatus.PENDING,
    "1": UpstreamStatus.PROCESSING,
    "2": UpstreamStatus.IN_PROGRESS,
    "3": UpstreamStatus.COMPLETED,
    "4": UpstreamStatus.PARTIAL,
    "5": UpstreamStatus.CANCELED,
}


def parse_status(word: object) -> UpstreamStatus | None:
    """The meaning of an upstream's word or digit; None for one we do not know."""
    if isinstance(word, bool) or not isinstance(word, str | int):
        return None
    text = str(word)
    return _meaning(text) if len(text) <= _CHARS_KEPT else _meaning.__wrapped__(text)


@functools.lru_cache(maxsize=1024)
def _meaning(text: str) -> UpstreamStatus | None:
    """By heart, since a panel has a dozen words and says them of every order."""
    text = text.strip().casefold()
    return None if text.startswith("-") else _WORDS.get(re.sub(r"[\s_-]+", "", text))
