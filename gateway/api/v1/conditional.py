"""Entity tags (RFC 9110)."""

import hashlib

_TAGS_MAX = 50


def etag_of(body: bytes) -> str:
    """A strong tag: other bytes have another."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(header: str, etag: str, *, weakly: bool = True) -> bool:
    """Whether `If-None-Match` (weakly, since a proxy that compresses may weaken a tag) or `If-Match` has the tag."""
    tags = [tag.strip() for tag in header.split(",", _TAGS_MAX)[:_TAGS_MAX]]
    if weakly:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags
