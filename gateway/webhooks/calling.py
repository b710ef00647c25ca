"""One call to an endpoint: signed, bounded in time and size, to public addresses only."""

import time
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from standardwebhooks import Webhook

from gateway.clock import utc_now
from gateway.db.engine import forbid_transaction
from gateway.egress import RefusedAddress
from gateway.keyring import Keyring, KeyringError
from gateway.webhooks.model import Answer, Due, message_of

TIMEOUT_S = 15.0
RESPONSE_BYTES_MAX = 1024
SIGNERS_MAX = 10_000
SECONDS_DIGITS_MAX = 9
"""Of `Retry-After`; more of them ask for decades all the same."""
USER_AGENT = "smm-gateway-webhooks/1"


class Caller:
    """Sends deliveries; the session must not follow proxies or unpack what it is answered."""

    def __init__(self, session: aiohttp.ClientSession, keyring: Keyring, timeout_s: float = TIMEOUT_S) -> None:
        self._session = session
        self._keyring = keyring
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._timeout_s = timeout_s
        self._signers: dict[str, Webhook] = {}

    async def call(self, due: Due) -> Answer:
        """What came of it, whatever the receiver does; no redirect is followed."""
        forbid_transaction()
        started = time.perf_counter()
        status, error, retry_after_s, kept = None, None, None, bytearray()
        try:
            headers, body = self._signed(due)
            async with self._session.post(
                due.url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                status = answer.status
                retry_after_s = _seconds(answer.headers.get("Retry-After"))
                await self._read(answer.content, kept)
        except KeyringError:
            error = "its secret cannot be opened"
        except TimeoutError:
            error = f"no answer within {self._timeout_s:g} s"
        except aiohttp.ClientConnectorError as failure:
            refused = isinstance(failure.os_error, RefusedAddress)
            error = "its address is not public" if refused else "it cannot be connected to"
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = type(failure).__name__
        if status is not None:  # what came of its body matters no more
            error = None if 200 <= status < 300 else f"it answered {status}"
        return Answer(
            status=status,
            error=error,
            response=None if status is None else _text(kept),
            duration_ms=int((time.perf_counter() - started) * 1000),
            retry_after_s=retry_after_s,
        )

    async def _read(self, body: aiohttp.StreamReader, kept: bytearray) -> None:
        """Its first kilobyte, in however many pieces it comes."""
        while len(kept) < RESPONSE_BYTES_MAX:
            piece = await body.read(RESPONSE_BYTES_MAX - len(kept))
            if not piece:
                break
            kept += piece

    def _signed(self, due: Due) -> tuple[dict[str, str], bytes]:
        now = utc_now().astimezone(UTC)
        body = msgspec.json.encode(message_of(due))
        text, message_id = body.decode(), str(due.event_id)
        columns = [("secret", due.secret), ("previous_secret", due.previous_secret)]
        signers = [self._signer(due, column, sealed) for column, sealed in columns if sealed]
        return {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "accept-encoding": "identity",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(message_id, now, text) for signer in signers),
        }, body

    def _signer(self, due: Due, column: str, sealed: str) -> Webhook:
        """By the sealed secret, which another one never has."""
        signer = self._signers.get(sealed)
        if signer is None:
            if len(self._signers) >= SIGNERS_MAX:
                self._signers.clear()
            signer = Webhook(self._keyring.unseal(sealed, "webhooks", column, due.webhook_id))
            self._signers[sealed] = signer
        return signer


def _text(body: bytearray) -> str:
    """As far as it is text; PostgreSQL takes no NUL."""
    return body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _seconds(header: str | None) -> float | None:
    """What `Retry-After` asks for, as seconds or as a date; None where it cannot be read."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header[:SECONDS_DIGITS_MAX])
    try:
        moment = parsedate_to_datetime(header)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - utc_now()).total_seconds())
    except (ValueError, OverflowError):
        return None
