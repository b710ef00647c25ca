"""The calls of a probe: any method, body and dialect, each timed."""

import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from compat.dialects import STANDARD, Dialect
from compat.replies import parse_json
from compat.transport import Request, describe, read_reply, request_to

BODY_BYTES_MAX = 32 * 1024 * 1024


class Answer(msgspec.Struct, frozen=True):
    status: int
    content_type: str
    value: Any
    time_ms: float
    problem: str = ""


class AnyPanel:
    """Calls to one panel, in its dialect or any other and with any body; nothing is retried."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, timeout_s: float) -> None:
        self._session = session
        self._url = URL(url)
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self.dialect = STANDARD

    async def ask(
        self,
        action: str,
        fields: Mapping[str, str] | None = None,
        *,
        dialect: Dialect | None = None,
        key: str | None = None,
    ) -> Answer:
        request = request_to(
            self._url, self._key if key is None else key, dialect or self.dialect, action, fields or {}
        )
        return await self.send("POST", request)

    async def ask_otherwise(self, method: str, path_end: str = "", **how: Any) -> Answer:
        """A balance asked for with another method, path or body."""
        is_bearer = self.dialect.key == "bearer"
        fields = {"action": "balance"} | ({} if is_bearer else {self.dialect.key: self._key})
        url = self._url.with_path(self._url.path.rstrip("/") + path_end) if path_end else self._url
        body = aiohttp.FormData(fields, default_to_multipart=True) if how.get("multipart") else None
        started = time.perf_counter()
        try:
            async with self._session.request(
                method,
                url.with_query(fields) if body is None else url,
                data=body,
                headers={"Authorization": f"Bearer {self._key}"} if is_bearer else None,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                return await self._read(response, started)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Answer(0, "", None, since(started), describe(error))

    async def send(self, method: str, request: Request) -> Answer:
        started = time.perf_counter()
        try:
            async with self._session.request(
                method,
                request.url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                return await self._read(response, started)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Answer(0, "", None, since(started), describe(error))

    async def _read(self, response: aiohttp.ClientResponse, started: float) -> Answer:
        reply = await read_reply(response, BODY_BYTES_MAX)
        kind = response.headers.get("Content-Type", "")
        try:
            return Answer(reply.status, kind, parse_json(reply.body), since(started), reply.cut)
        except ValueError:
            return Answer(reply.status, kind, None, since(started), reply.cut or "a body that is not JSON")


def since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
