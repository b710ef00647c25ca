"""A request of the native API, as the resources see it, and what they answer."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec

from gateway.accounts.model import Account
from gateway.api.callers import Callers
from gateway.api.listings import NativeListings
from gateway.api.v1.conditional import etag_of, matches
from gateway.audit.model import Actor
from gateway.catalog.snapshot import Catalog
from gateway.db.engine import Database
from gateway.errors import ChangedMeanwhile, NotFound
from gateway.keyring import Keyring
from gateway.orders.ordering import Ordering
from gateway.orders.reading import OrderReader
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings

JSON = "application/json"


class Parts(Protocol):
    """What of the app the resources stand on."""

    @property
    def db(self) -> Database: ...
    @property
    def keyring(self) -> Keyring: ...
    @property
    def callers(self) -> Callers: ...
    @property
    def catalog(self) -> Catalog: ...
    @property
    def ordering(self) -> Ordering: ...
    @property
    def reader(self) -> OrderReader: ...
    @property
    def native_listings(self) -> NativeListings: ...
    @property
    def upstreams(self) -> Upstreams: ...
    @property
    def settings(self) -> Settings: ...


class Reply(msgspec.Struct, frozen=True):
    """`value` is encoded as JSON; bytes and streams of bytes go out as they are."""

    value: Any
    status: int = 200
    headers: dict[str, str] = {}
    media_type: str = JSON

    def encoded(self) -> bytes | AsyncIterator[bytes]:
        """What goes out."""
        if isinstance(self.value, bytes) or hasattr(self.value, "__aiter__"):
            body: bytes | AsyncIterator[bytes] = self.value
            return body
        return b"" if self.value is None else msgspec.json.encode(self.value)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what. `body_hash` tells two bodies apart, however they are spaced and ordered."""

    parts: Parts
    account: Account
    operation: str
    method: str
    path: str
    path_parameters: Mapping[str, str]
    headers: Mapping[str, str]
    address: str
    request_id: str
    body: Any = None

    @property
    def db(self) -> Database:
        """Reads, and changes that are the business of the account's user alone."""
        return self.parts.db

    def acting(self, reason: str | None = None) -> Database:
        """For changes that are audited: they are put down to the caller."""
        return self.parts.db.acting_as(self.actor(reason).to_setting())

    def actor(self, reason: str | None = None) -> Actor:
        """The caller, as the audit log names him."""
        return Actor(
            kind="key",
            name=self.account.key_name,
            action=self.operation,
            user_id=self.account.user_id,
            key_id=self.account.key_id,
            address=self.address,
            request_id=self.request_id,
            reason=reason,
        )

    def uuid(self, name: str, what: str) -> UUID:
        """An id in the path, spelt as replies spell it: Python would take braces and `urn:uuid:` too.

        Raises:
            NotFound: it is none, which no `what` has.
        """
        text = self.path_parameters[name].lower()
        try:
            found = UUID(text)
        except ValueError:
            raise NotFound(what) from None
        if str(found) != text:
            raise NotFound(what)
        return found

    def check_unchanged(self, current: Any) -> None:
        """Raises ChangedMeanwhile where `If-Match` does not have the tag of what a GET would answer now.

        What there is not (None) has no tag, and is not `*` either.
        """
        header = self.headers.get("if-match", "")
        if not header:
            return
        if current is None or not matches(header, etag_of(msgspec.json.encode(current)), weakly=False):
            raise ChangedMeanwhile

    def fields_hash(self) -> bytes:
        """Of all that this request asks for."""
        body = msgspec.json.encode(self.body, order="deterministic")
        return hashlib.sha256(f"{self.method} {self.path}\n".encode() + body).digest()


Handler = Callable[..., Any]
