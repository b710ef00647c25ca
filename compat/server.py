"""A panel as a plain ASGI app, to be mounted at any path of any framework (protocol §1, §4)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any, Generic

import msgspec

from compat import codec, encode
from compat.backend import Caller, PanelBackend
from compat.errors import INCORRECT_ORDER, INCORRECT_REQUEST, REFILL_NOT_FOUND, UNAVAILABLE, PanelError
from compat.forms import BODY_BYTES_MAX, unreadable
from compat.listing import Listing, accepts_gzip

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

ACTIONS = ("services", "add", "status", "statuses", "refill", "refill_status", "cancel", "balance")
"""All that a panel is asked for."""

logger = logging.getLogger("compat.server")


def panel_app(backend: PanelBackend[Caller], *, body_timeout_s: float = 10.0, max_in_flight: int = 1000) -> ASGIApp:
    """Serve `backend` to clients of the protocol, at whatever path the app is mounted.

    A body that takes longer than `body_timeout_s` is given up. Of the requests that were read,
    those beyond `max_in_flight` are answered 503 before the backend hears of them.
    """
    panel = _Panel(backend, max_in_flight)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            reply = await _answer(panel, scope, receive, body_timeout_s)
            if reply is not None:
                try:
                    await _send_reply(scope, send, reply)
                except OSError:  # the client went away
                    return
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1002})
        else:
            await _answer_lifespan(receive, send)

    return app


class _Reply(msgspec.Struct):
    body: bytes
    status: int = 200
    headers: dict[str, str] = {}
    is_request_read: bool = True


async def _answer(panel: "_Panel[Caller]", scope: Scope, receive: Receive, body_timeout_s: float) -> _Reply | None:
    """The reply to one request; None where the client went away before it had sent all of it."""
    is_request_read = False
    try:
        head = codec.read_head(scope["method"], scope["headers"])
        body = await _read_body(receive, body_timeout_s)
        if body is None:
            return None
        is_request_read = True
        request = codec.decode_body(head, scope.get("query_string", b""), body)
        client = scope.get("client")
        answer = await panel.answer(request, str(client[0]) if client else "")
        return await _listed(answer, scope) if isinstance(answer, Listing) else _Reply(answer)
    except PanelError as refusal:  # kept in a variable, it would hold its own frames until collected
        return _refused(refusal, is_request_read)
    except Exception:  # of any backend: the caller is owed an answer, the operator the traceback
        logger.exception("The panel could not answer")
        return _refused(PanelError(UNAVAILABLE, status=503), is_request_read)


def _refused(refusal: PanelError, is_request_read: bool) -> _Reply:
    body = encode.encode_error(refusal.text, placed=False if refusal.placed is False else None)
    return _Reply(body, refusal.status, refusal.headers, is_request_read)


async def _listed(listing: Listing, scope: Scope) -> _Reply:
    """The list of services, compressed where the client takes that."""
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    if not accepts_gzip(accepted.decode("latin-1")):
        return _Reply(listing.plain, headers={"Vary": "Accept-Encoding"})
    headers = {"Vary": "Accept-Encoding", "Content-Encoding": "gzip"}
    return _Reply(await listing.compressed(), headers=headers)


class _Panel(Generic[Caller]):
    """The actions by name, and how many requests are in the backend's hands."""

    def __init__(self, backend: PanelBackend[Caller], max_in_flight: int) -> None:
        self._backend = backend
        self._in_flight = 0
        self._max_in_flight = max_in_flight
        acts: tuple[Callable[[Caller, dict[str, str]], Awaitable[bytes | Listing]], ...] = (
            *(self._services, self._add, self._status, self._statuses),
            *(self._refill, self._refill_status, self._cancel, self._balance),
        )
        self._actions = dict(zip(ACTIONS, acts, strict=True))

    async def answer(self, request: codec.PanelRequest, address: str) -> bytes | Listing:
        """The reply's body.

        Raises:
            PanelError: any refusal, and 503 where too many requests are under way.
        """
        if self._in_flight >= self._max_in_flight:
            raise _too_busy(request.action)
        self._in_flight += 1
        try:
            caller = await self._backend.identify(request.key, address)
            act = self._actions.get(request.action)
            if act is None:
                raise PanelError(INCORRECT_REQUEST)
            self._backend.permit(caller, request.action)
            return await act(caller, request.fields)
        finally:
            self._in_flight -= 1

    async def _services(self, caller: Caller, _fields: dict[str, str]) -> Listing:
        return await self._backend.services(caller)

    async def _add(self, caller: Caller, fields: dict[str, str]) -> bytes:
        return encode.encode_added(await self._backend.add(caller, codec.decode_add(fields)))

    async def _status(self, caller: Caller, fields: dict[str, str]) -> bytes:
        """Of many where `orders` is given or `order` holds a comma, else of one."""
        order = fields.get("order", "")
        if _is_of_many(fields, "order"):
            return await self._statuses(caller, fields)
        number = codec.parse_id(order)
        found = await self._backend.statuses(caller, [number]) if number is not None else {}
        if number is None or number not in found:
            raise PanelError(INCORRECT_ORDER)
        return encode.encode_status(found[number])

    async def _statuses(self, caller: Caller, fields: dict[str, str]) -> bytes:
        ids, numbers = _read_ids(fields, "order")
        return encode.encode_statuses(ids, await self._backend.statuses(caller, numbers) if numbers else {})

    async def _refill(self, caller: Caller, fields: dict[str, str]) -> bytes:
        """Of many where `orders` is given or `order` holds a comma, else of one."""
        ids, numbers = _read_ids(fields, "order")
        answers = await self._backend.refill(caller, numbers) if numbers else {}
        if _is_of_many(fields, "order"):
            return encode.encode_refills(ids, answers)
        answer = answers.get(numbers[0]) if numbers else None
        if not isinstance(answer, int):
            raise answer or PanelError(INCORRECT_ORDER)
        return encode.encode_refill(answer)

    async def _refill_status(self, caller: Caller, fields: dict[str, str]) -> bytes:
        """Of many where `refills` is given or `refill` holds a comma, else of one."""
        ids, numbers = _read_ids(fields, "refill")
        found = await self._backend.refill_statuses(caller, numbers) if numbers else {}
        if _is_of_many(fields, "refill"):
            return encode.encode_refill_statuses(ids, found)
        if not numbers or numbers[0] not in found:
            raise PanelError(REFILL_NOT_FOUND)
        return encode.encode_refill_status(found[numbers[0]])

    async def _cancel(self, caller: Caller, fields: dict[str, str]) -> bytes:
        """An array also for one."""
        ids, numbers = _read_ids(fields, "order")
        return encode.encode_cancels(ids, await self._backend.cancel(caller, numbers) if numbers else {})

    async def _balance(self, caller: Caller, _fields: dict[str, str]) -> bytes:
        return encode.encode_balance(await self._backend.balance(caller))


def _is_of_many(fields: dict[str, str], name: str) -> bool:
    return f"{name}s" in fields or "," in fields.get(name, "")


def _read_ids(fields: dict[str, str], name: str) -> tuple[list[tuple[str, int | None]], list[int]]:
    """The ids under the name, or under its plural, as sent and as distinct numbers.

    Raises:
        PanelError: none, or more than 500.
    """
    ids = codec.decode_ids(fields.get(f"{name}s") or fields.get(name, ""))
    if not ids:
        raise PanelError(INCORRECT_ORDER if name == "order" else REFILL_NOT_FOUND)
    return ids, list(dict.fromkeys(number for _, number in ids if number is not None))


def _too_busy(action: str) -> PanelError:
    error = PanelError(UNAVAILABLE, status=503)
    if action == "add":
        error.placed = False
    return error


async def _read_body(receive: Receive, timeout_s: float) -> bytes | None:
    """The whole body; None where the client went away.

    Raises:
        PanelError: 413 as soon as it is too large, 400 where it is too slow.
    """
    begun = _Begun(receive())
    message = begun.message
    if message is not None and message["type"] == "http.request" and not message.get("more_body", False):
        body = bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            raise codec.too_large()
        return body
    return await _read_long_body(begun, receive, timeout_s)


async def _read_long_body(begun: "_Begun", receive: Receive, timeout_s: float) -> bytes | None:
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            message = begun.message or await begun
            while True:
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise codec.too_large()
                if not message.get("more_body", False):
                    return bytes(body)
                message = await receive()
    except TimeoutError as error:
        raise unreadable() from error


class _Begun:
    """A call that was begun: its message where that was there at once, as most bodies are; else it is to be awaited.

    So the clock, which costs more than reading a form does, is set for those alone that are waited for.
    """

    __slots__ = ("_awaited", "_rest", "message")

    def __init__(self, call: Awaitable[Message]) -> None:
        self._rest: Any = call.__await__()
        self.message: Message | None = None
        try:
            self._awaited = self._rest.send(None)
        except StopIteration as end:
            self.message = end.value

    def __await__(self) -> Generator[Any, Any, Message]:
        awaited = self._awaited
        try:
            while True:
                try:
                    sent = yield awaited
                except BaseException as error:  # not ours: it goes to whom it was thrown at
                    awaited = self._rest.throw(error)
                else:
                    awaited = self._rest.send(sent)
        except StopIteration as end:
            message: Message = end.value
            return message


async def _send_reply(scope: Scope, send: Send, reply: _Reply) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()),
    ]
    if not reply.is_request_read and str(scope.get("http_version", "1.1")).startswith("1"):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    """Say yes to a server that runs this app by itself."""
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
