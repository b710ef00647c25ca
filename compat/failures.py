"""How a read from an upstream fails, and how many are asked for one by one all the same.

UpstreamError
├── NotReached        no connection was made
├── BadAnswer         what came back is not an answer
└── UpstreamRefusal   the panel said no
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from compat.errors import Fault, is_of_our_key, is_unknown_order

T = TypeVar("T")

FAILURES_MAX = 3
"""Failures in a row after which a panel that takes one id a call is left alone."""


class UpstreamError(Exception):
    """A read from an upstream failed; the message never holds the key."""


class NotReached(UpstreamError):
    """No connection was made."""


class BadAnswer(UpstreamError):
    """What came back is not an answer; `evidence` is its beginning."""

    def __init__(self, reason: str, evidence: str = "") -> None:
        super().__init__(reason)
        self.evidence = evidence


class UpstreamRefusal(UpstreamError):
    """The panel said no; `fault` is None where its words are not known.

    `of_us` says that it is of our haste or our key, and so no answer about what was asked.
    """

    def __init__(self, text: str, fault: Fault | None, *, of_key: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.fault = fault
        self.of_key = of_key or is_of_our_key(text)

    @property
    def of_us(self) -> bool:
        return self.fault is Fault.PASSING or self.of_key

    @property
    def is_of_all(self) -> bool:
        """Whether every order would get it, for our key or our haste; else it is about one that was named."""
        return self.fault in (Fault.PASSING, Fault.PROVIDER) and not is_unknown_order(self.text)


async def one_by_one(ids: Sequence[str], ask: Callable[[str], Awaitable[dict[str, T]]]) -> dict[str, T]:
    """The answers of a panel that takes one id a call; an id whose call fails is left out.

    Failures in a row end the round, so that a panel that is down is not asked about every id.

    Raises:
        UpstreamError: the last failure, where nothing was answered.
    """
    found: dict[str, T] = {}
    failed: UpstreamError | None = None
    in_a_row = 0
    for one in ids:
        try:
            found |= await ask(one)
            in_a_row = 0
        except UpstreamError as error:
            failed, in_a_row = error, in_a_row + 1
            if in_a_row == FAILURES_MAX or isinstance(error, NotReached) or _is_of_us(error):
                break
    if failed is not None and not found:
        raise failed
    return found


def _is_of_us(error: UpstreamError) -> bool:
    return isinstance(error, UpstreamRefusal) and error.of_us
