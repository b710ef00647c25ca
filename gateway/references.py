"""What a payment is known by, so that it is booked once; pure."""

import re

from gateway.errors import Invalid

CHARS_MAX = 80
_REFERENCE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


def check_reference(reference: str) -> str:
    """An operator's name for money, which two people write and read in one way: two forms of it are two payments.

    Raises:
        Invalid: it is not 1 to 80 printable characters of ASCII, or has blanks round it.
    """
    if len(reference) > CHARS_MAX or not _REFERENCE.fullmatch(reference):
        raise Invalid([("reference", f"it is 1 to {CHARS_MAX} printable characters of ASCII, without blanks round it")])
    return reference
