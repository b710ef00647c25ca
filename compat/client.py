"""PanelClient: calls to an upstream panel, and the one place where its answer to `add` is classed.

    async with PanelClient("https://panel.example/api/v2", key) as panel:
        match await panel.add("1", {"link": "https://example.com/p/1", "quantity": "100"}):
            case Accepted(order=order): reports = await panel.statuses([order])
            case Refused() | NotSent(): ...   # another route may be tried
            case Unknown(): ...               # never send it again

The reads raise the errors of `compat.failures`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NoReturn, Self, TypeVar

import aiohttp
from yarl import URL

from compat.dialects import STANDARD, Dialect
from compat.errors import Fault, is_unknown_order
from compat.failures import BadAnswer, NotReached, UpstreamRefusal, one_by_one
from compat.replies import ServiceList, classify_add, parse_json, read_balance, read_refusal, read_services
from compat.reports import (
    is_cancel_of_some,
    read_cancels,
    read_refill,
    read_refill_statuses,
    read_refills,
    read_statuses,
)
from compat.transport import NEVER_CONNECTED, Reply, describe, evidence_of, mask, mask_words, post, request_to
from compat.wire import (
    Accepted,
    AddOutcome,
    Balance,
    CancelAnswer,
    NotSent,
    RefillAnswer,
    RefillReport,
    Refused,
    Unknown,
    UpstreamReport,
)

T = TypeVar("T")

EVIDENCE_CHARS_MAX = 2048
_MARGIN_BYTES = 16_384
"""Read past the evidence before masking, so that a key which lies across the cut is masked whole."""

_KEY_STATUSES = (401, 403)
"""HTTP's own words for a key that is not known or may not."""
_SERVICES_BYTES_MAX = 64 * 1024 * 1024


class PanelClient:
    """One upstream panel. A session that is passed in stays the caller's; nothing is ever retried.

    The time-out bounds a whole call, half of it the making of the connection. The byte limit is for
    decoded bytes; `services` has 64 MiB. `honours_extension` says that the upstream has shown
    `idempotency` in its balance, so that its word about what was not placed counts (protocol §6).
    `taught` are words of refusal of this panel's own, as `compat.errors.fold` spells them.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout_s: float = 20.0,
        max_body_bytes: int = 8 * 1024 * 1024,
        honours_extension: bool = False,
        dialect: Dialect = STANDARD,
        taught: Mapping[str, Fault] | None = None,
    ) -> None:
        self._url = URL(url)
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ValueError("the address of a panel begins with http:// or https://")
        self._key = key
        self._session = session
        self._owned = session is None
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=timeout_s / 2)
        self._body_bytes_max = max_body_bytes
        self._honours_extension = honours_extension
        self._dialect = dialect
        self.taught: Mapping[str, Fault] = taught or {}
        """May be replaced at any time; it counts from the next reply on."""

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=1.0, use_dns_cache=False),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owned and self._session is not None:
            await self._session.close()
            self._session = None

    async def add(self, service: str, fields: Mapping[str, str]) -> AddOutcome:
        """Place one order and class what came of it; nothing that an upstream does raises here.

        A call that is cancelled has an unknown outcome, like one that the process did not survive.
        """
        session = self._session
        if session is None or session.closed:
            return NotSent("no open session")
        named = {self._dialect.names.get(name, name): value for name, value in fields.items()}
        try:
            request = request_to(self._url, self._key, self._dialect, "add", {"service": service, **named})
        except UnicodeEncodeError:
            return NotSent("a field cannot be written as UTF-8")
        try:
            reply = await post(session, request, self._timeout, self._body_bytes_max)
        except NEVER_CONNECTED as error:
            return NotSent(self._mask(describe(error)))
        except Exception as error:  # whatever a hostile reply sets off in the parser: it may have left
            return Unknown(self._mask(describe(error)))
        return self._class_of(reply)

    def _class_of(self, reply: Reply) -> AddOutcome:
        if reply.cut:
            return Unknown(self._mask(reply.cut), self._evidence(reply))
        match classify_add(reply.status, reply.body, honours_extension=self._honours_extension, taught=self.taught):
            case Accepted(order=order):
                return Accepted(order)
            case Refused(fault=fault, text=text):
                return Refused(fault, self._mask(text))
            case NotSent() as outcome:
                return outcome
            case Unknown(reason=reason):
                return Unknown(reason, self._evidence(reply))

    async def services(self) -> ServiceList:
        """All services; rows that cannot be read are left out and counted in `skipped`.

        Raises:
            compat.failures.UpstreamError: no answer.
        """
        reply = await self._read("services", {}, max(self._body_bytes_max, _SERVICES_BYTES_MAX))
        return self._read_with(reply, read_services)

    async def statuses(self, ids: Sequence[str]) -> dict[str, UpstreamReport]:
        """What the panel says of each of at most 100 orders; one that it leaves out is left out here.

        Raises:
            compat.failures.UpstreamError: no answer; nothing then is known of any of them.
        """
        if not self._dialect.many_action:
            return await one_by_one(ids, self._status)
        reply = await self._read(self._dialect.many_action, {"orders": ",".join(ids)}, self._body_bytes_max)
        try:
            return self._read_with(reply, lambda answer: read_statuses(answer, ids))
        except UpstreamRefusal as refusal:
            if len(ids) == 1 and is_unknown_order(refusal.text):
                return {ids[0]: UpstreamReport(error=refusal.text)}
            raise

    async def _status(self, order: str) -> dict[str, UpstreamReport]:
        reply = await self._read("status", {"order": order}, self._body_bytes_max)
        try:
            reports = self._read_with(reply, lambda answer: read_statuses(answer, [order]))
        except UpstreamRefusal as refusal:
            if refusal.is_of_all:
                raise
            return {order: UpstreamReport(error=refusal.text or "an error without words")}
        return reports or {order: UpstreamReport(error="no status in the answer")}

    async def refill(self, order: str) -> RefillAnswer:
        """Ask for a refill of one order; a refusal is an answer, unless it is of us.

        Raises:
            compat.failures.UpstreamError: no answer; it may have been taken all the same.
        """
        reply = await self._read("refill", {"order": order}, self._body_bytes_max)
        try:
            return self._read_with(reply, lambda answer: read_refill(answer, order))
        except UpstreamRefusal as refusal:
            if refusal.of_us:
                raise
            return RefillAnswer(error=refusal.text)

    async def refills(self, orders: Sequence[str]) -> dict[str, RefillAnswer]:
        """Ask for refills of many orders; what the panel leaves out is left out here.

        Raises:
            compat.failures.UpstreamError: no answer; some may have been taken all the same.
        """
        if not self._dialect.many_action:
            return await one_by_one(orders, self._refill)
        reply = await self._read("refill", {"orders": ",".join(orders)}, self._body_bytes_max)
        return self._read_with(reply, lambda answer: read_refills(answer, orders))

    async def _refill(self, order: str) -> dict[str, RefillAnswer]:
        return {order: await self.refill(order)}

    async def refill_statuses(self, refills: Sequence[str]) -> dict[str, RefillReport]:
        """What the panel says of each of at most 100 refills.

        Raises:
            compat.failures.UpstreamError: no answer.
        """
        if not self._dialect.many_action and len(refills) > 1:
            return await one_by_one(refills, lambda refill: self.refill_statuses([refill]))
        fields = {"refill": refills[0]} if len(refills) == 1 else {"refills": ",".join(refills)}
        reply = await self._read("refill_status", fields, self._body_bytes_max)
        try:
            return self._read_with(reply, lambda answer: read_refill_statuses(answer, refills))
        except UpstreamRefusal as refusal:
            if len(refills) == 1 and not refusal.of_us:
                return {refills[0]: RefillReport(error=refusal.text)}
            raise

    async def cancel(self, orders: Sequence[str]) -> dict[str, CancelAnswer]:
        """Ask for at most 100 orders to be cancelled; whether they are, only their statuses tell.

        Raises:
            compat.failures.UpstreamError: no answer; the wish may have been taken all the same.
        """
        if not self._dialect.many_action and len(orders) > 1:
            return await one_by_one(orders, lambda order: self.cancel([order]))
        field = "orders" if self._dialect.many_action else "order"
        reply = await self._read("cancel", {field: ",".join(orders)}, self._body_bytes_max)
        try:
            return self._read_with(reply, lambda answer: read_cancels(answer, orders), is_cancel_of_some)
        except UpstreamRefusal as refusal:
            if len(orders) == 1 and not refusal.of_us:
                return {orders[0]: CancelAnswer(error=refusal.text)}
            raise

    async def balance(self) -> Balance:
        """What we can spend there.

        Raises:
            compat.failures.UpstreamError: no answer.
        """
        return self._read_with(await self._read("balance", {}, self._body_bytes_max), read_balance)

    async def _read(self, action: str, fields: Mapping[str, str], bytes_max: int) -> Reply:
        session = self._session
        if session is None or session.closed:
            raise NotReached("no open session")
        try:
            request = request_to(self._url, self._key, self._dialect, action, fields)
            return await post(session, request, self._timeout, bytes_max)
        except NEVER_CONNECTED as error:
            raise NotReached(self._mask(describe(error))) from None
        except Exception as error:  # whatever a hostile reply sets off in the parser; a read may be made again
            raise BadAnswer(self._mask(describe(error))) from None

    def _read_with(
        self, reply: Reply, read: Callable[[object], T], reads_errors: Callable[[object], bool] = lambda _: False
    ) -> T:
        """What the reply says; its errors are a refusal of the whole call, unless `reads_errors` of it."""
        if reply.cut:
            self._bad(reply.cut, reply)
        try:
            answer = parse_json(reply.body)
        except ValueError:
            self._bad(f"HTTP {reply.status} and a body that is not JSON", reply)
        if not 200 <= reply.status < 500 or 300 <= reply.status < 400:
            self._bad(f"HTTP {reply.status}", reply)
        refusal = None if reads_errors(answer) else read_refusal(answer, self.taught)
        if refusal is not None:
            fault = Fault.PASSING if refusal.fault is None and reply.status == 429 else refusal.fault
            of_key = reply.status in _KEY_STATUSES and fault is None and not is_unknown_order(refusal.text)
            raise UpstreamRefusal(self._mask(refusal.text), Fault.PROVIDER if of_key else fault, of_key=of_key)
        if reply.status != 200:
            self._bad(f"HTTP {reply.status} without an error", reply)
        try:
            return mask_words(read(answer), self._key)
        except ValueError as error:
            self._bad(str(error), reply)

    def _bad(self, reason: str, reply: Reply) -> NoReturn:
        raise BadAnswer(self._mask(reason), self._evidence(reply))

    def _evidence(self, reply: Reply) -> str:
        """The beginning of a reply as text that can be stored, without the key."""
        return self._mask(evidence_of(reply, EVIDENCE_CHARS_MAX + _MARGIN_BYTES))[:EVIDENCE_CHARS_MAX]

    def _mask(self, text: str) -> str:
        return mask(text, self._key)
