"""HTTP/1.1 as uvicorn reads it, with refusals in JSON, a bound for heads, and no upgrades."""

import asyncio
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.api.v1 import problems
from gateway.api.v1.operations import PREFIX
from gateway.errors import TooLarge

HEAD_BYTES_MAX = 65_536
_LINGER_S = 2.0
_UPGRADE_TOKENS = frozenset({b"upgrade", b"http2-settings"})

_TOO_LARGE = (413, b'{"error":"Request too large"}')
_INCORRECT = (400, b'{"error":"Incorrect request"}')
_NATIVE = PREFIX.encode() + b"/"
_PROBLEMS = {413: problems.kind_of(TooLarge), 400: problems.BAD_REQUEST}


class _HeadTooLarge(Exception):
    """Ends the parser's run."""


class PanelProtocol(HttpToolsProtocol):
    """Bytes that are no request are answered with 400, and a head beyond `HEAD_BYTES_MAX` with 413.

    A request that offers an upgrade is read as if it did not, body and all.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_open = False
        self._began_in_chunk = False
        self._head_bytes = 0
        self._offers_upgrade = False
        self._refused = False
        self.url = b""

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._began_in_chunk = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(*(_TOO_LARGE if self._head_bytes > HEAD_BYTES_MAX else _INCORRECT))
            return
        # A head that has not ended is in the parser's memory, where no callback sees it grow.
        if self._head_open and not self._began_in_chunk:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(*_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        self._refuse(*_INCORRECT)

    # Parser callbacks

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open = self._began_in_chunk = True
        self._head_bytes = 0
        self._offers_upgrade = False

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        if self._head_bytes > HEAD_BYTES_MAX:
            raise _HeadTooLarge
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > HEAD_BYTES_MAX:
            raise _HeadTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._offers_upgrade = bool(self.parser.should_upgrade())
        if not self._offers_upgrade:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._offers_upgrade:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._offers_upgrade:
            super().on_message_complete()

    # Steps

    def _feed(self, data: bytes) -> None:
        """The parser stops after a head that offers an upgrade: another reads it without, and what follows.

        Raises:
            HttpParserError: this is no request, or its head is too large.
        """
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                if self.parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserError("CONNECT") from upgrade
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                kept = b", ".join(token for token in tokens if token.lower() not in _UPGRADE_TOKENS)
                lines += [b"connection: " + kept] if kept else []
            elif name not in (b"upgrade", b"http2-settings"):
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, status: int, body: bytes) -> None:
        """Answer and end the connection, which is read on for a while: a reset would take the answer away.

        With problem details where it was read far enough to know that the native API is meant.
        """
        self._refused = True
        media_type = b"application/json"
        if self.url.startswith(_NATIVE):
            media_type, body = problems.MEDIA_TYPE.encode(), msgspec.json.encode(problems.plain(_PROBLEMS[status]))
        fields = [*self.server_state.default_headers, (b"content-type", media_type)]
        fields += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
        told = b"" if self.parser.get_method() == b"HEAD" else body
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + told)
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()
