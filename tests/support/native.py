"""A client of the native API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import yarl

from gateway.db.engine import Database


class Got(msgspec.Struct):
    """A whole reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> str:
        """The kind of problem; `` where it is none."""
        if self.headers["Content-Type"] != "application/problem+json":
            return ""
        kind: str = self.json()["type"]
        return kind.removeprefix("/problems/")


class Native:
    """Calls with one key."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self.http = http
        self.url = url
        self.key = key

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Got:
        """`headers` with underscores for dashes; a body of bytes goes out as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("Authorization", f"Bearer {self.key}")
        data = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = yarl.URL(f"{self.url}{path}", encoded=True)
        async with self.http.request(method, url, data=data, headers=sent) as reply:
            return Got(reply.status, reply.headers, await reply.read())


@dataclass(frozen=True)
class Standing:
    """A gateway's database, and a client of each role."""

    db: Database
    reseller: Native
    admin: Native


async def audited(admin: Native, table: str, object_id: str) -> list[dict[str, Any]]:
    """The lines of the audit log about one row."""
    found = await admin("GET", f"/v1/admin/audit?object_type={table}&object_id={object_id}")
    data: list[dict[str, Any]] = found.json()["data"]
    return data
