"""What a payment is known by, so that it is booked once; pure."""

from gateway.errors import Conflict

CHARS_MAX = 255


def check_reference(text: str) -> str:
    """The reference without the space round it, which would make a second payment of the same.

    Raises:
        Conflict: it is empty, too long or not one line.
    """
    reference = text.strip()
    if not 0 < len(reference) <= CHARS_MAX or not reference.isprintable():
        raise Conflict(f"a reference has 1 to {CHARS_MAX} printable characters")
    return reference
