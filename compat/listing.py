"""The list of services as bytes: prepared once, sent many times."""

import asyncio
import gzip
import hashlib
import re

_GZIP_LEVEL = 6
_ENCODING = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q\s*=\s*([\d.]{1,5}))?\s*", re.ASCII)


class Listing:
    """One state of the list, written by `compat.encode.encode_services`; `etag` is the same for the same bytes.

    Compressed when that is first asked for.
    """

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self.etag = f'"{hashlib.blake2b(plain, digest_size=16).hexdigest()}"'
        self._compressing: asyncio.Task[bytes] | None = None

    async def compressed(self) -> bytes:
        """As gzip, made in a thread once, whoever waits for it or goes away."""
        if self._compressing is None:
            self._compressing = asyncio.create_task(asyncio.to_thread(gzip.compress, self.plain, _GZIP_LEVEL, mtime=0))
        return await asyncio.shield(self._compressing)


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding takes gzip: named with no `q=0`, or covered by `*`."""
    weights: dict[str, bool] = {}
    for part in header.split(",", 20)[:20]:
        found = _ENCODING.fullmatch(part)
        if found:
            weights[found[1].casefold()] = found[2] is None or bool(found[2].strip("0."))
    return weights.get("gzip", weights.get("*", False))
