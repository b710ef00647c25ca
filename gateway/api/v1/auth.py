"""The caller of the native API: `Authorization: Bearer` with an API key."""

from typing import Any, Protocol

from litestar import Request

from gateway.accounts.model import Account
from gateway.api.callers import Callers


class Knows(Protocol):
    """The part of the app that is needed here."""

    @property
    def callers(self) -> Callers: ...


async def provide_account(request: Request[Any, Any, Any]) -> Account:
    """Raises InvalidKey, TooManyRequests or Unavailable, as `Callers.identify`."""
    scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
    address = request.client.host if request.client else ""
    parts: Knows = request.app.state.parts
    return await parts.callers.identify(key.strip() if scheme.casefold() == "bearer" else "", address)
