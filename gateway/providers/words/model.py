"""Taught words: their one spelling, and whose fault they say a refused `add` is; pure."""

from compat.errors import Fault, fold
from gateway.errors import Conflict

WORDS_CHARS_MAX = 500
FAULTS = {"refused": Fault.ORDER, "provider": Fault.PROVIDER, "passing": Fault.PASSING}
"""By the meaning that is stored: the order's fault, the provider's, or nobody's for long."""


def check_words(text: str) -> str:
    """The words as they are stored and compared: casefolded, blanks as one, no full stop at the end.

    Raises:
        Conflict: nothing is left of them, they are too long, or no database can hold them.
    """
    words = fold(text)
    if not words or len(words) > WORDS_CHARS_MAX:
        raise Conflict(f"words to teach have 1 to {WORDS_CHARS_MAX} characters")
    if not words.isprintable():
        raise Conflict("words to teach are printable text")
    return words
