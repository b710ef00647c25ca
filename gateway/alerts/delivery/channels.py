"""The ways an operator is told: e-mail over SMTP, and a signed webhook."""

import asyncio
from datetime import UTC
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import aiosmtplib
import msgspec
from standardwebhooks import Webhook
from uuid_utils.compat import uuid7

from gateway.alerts.delivery.digest import Digest, body_of, said, subject_line, text_of
from gateway.clock import utc_now
from gateway.db.engine import forbid_transaction
from gateway.egress import RefusedAddress, open_session
from gateway.logs import Logger
from gateway.settings import Settings

log = Logger(__name__)

EMAIL_TIMEOUT_S = 30.0
GOODBYE_TIMEOUT_S = 2.0
WEBHOOK_TIMEOUT_S = 15.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class DeliveryFailed(Exception):
    """It is not certain that the receiver took the message; the text says why, without any secret."""


class Channel(Protocol):
    """A way of telling. `name` is kept with what was told."""

    name: str

    async def send(self, digest: Digest) -> str:
        """What the receiver said.

        Raises:
            DeliveryFailed: it did not take it, or nobody knows.
        """


def channels_of(settings: Settings) -> list[Channel]:
    """Those that the settings name."""
    channels: list[Channel] = []
    if settings.alert_email_to and settings.alert_email_from and settings.smtp_url:
        to = tuple(part.strip() for part in settings.alert_email_to.split(","))
        channels.append(EmailChannel(smtp_of(settings.smtp_url), settings.alert_email_from, to))
    if settings.alert_webhook_url and settings.alert_webhook_secret:
        signer = Webhook(settings.alert_webhook_secret)
        channels.append(WebhookChannel(settings.alert_webhook_url, signer, settings.allow_private_addresses))
    return channels


# E-mail --------------------------------------------------------------------------------------


class Smtp(msgspec.Struct, frozen=True):
    """A server. `start_tls` None: encrypted where the server offers it."""

    host: str
    port: int
    username: str | None
    password: str | None
    use_tls: bool
    start_tls: bool | None


def smtp_of(url: str) -> Smtp:
    """`smtp://USER:PASSWORD@HOST:PORT`, `smtps://…`, `?starttls` to insist on it, `?starttls=never` to do without.

    A password is sent over a line that is not encrypted only to this machine, or where told to.
    """
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    use_tls = parts.scheme == "smtps"
    wish = parse_qs(parts.query, keep_blank_values=True).get("starttls", [None])[-1]
    insists = wish is not None or (parts.password is not None and host not in _LOOPBACK)
    return Smtp(
        host=host,
        port=parts.port or (465 if use_tls else 587 if insists else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password is not None else None,
        use_tls=use_tls,
        start_tls=False if use_tls or wish == "never" else insists or None,
    )


class EmailChannel:
    """One message to all recipients."""

    name = "email"

    def __init__(self, server: Smtp, sender: str, to: tuple[str, ...]) -> None:
        self._server = server
        self._sender = sender
        self._to = to

    async def send(self, digest: Digest) -> str:
        forbid_transaction()
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            timeout=EMAIL_TIMEOUT_S,
        )
        try:
            async with asyncio.timeout(EMAIL_TIMEOUT_S):
                await client.connect()
                refused, _ = await client.send_message(
                    self._message(digest), sender=self._sender, recipients=list(self._to)
                )
            await _say_goodbye(client)
        except TimeoutError:
            raise DeliveryFailed(f"no answer within {EMAIL_TIMEOUT_S:.0f} s") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryFailed(said(str(error) or type(error).__name__)) from error
        finally:
            client.close()
        if refused:
            log.warning("some recipients were refused", channel=self.name, recipients=sorted(refused))
        return f"sent to {len(self._to) - len(refused)} of {len(self._to)}"

    def _message(self, digest: Digest) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Subject"] = subject_line(digest)
        message["Date"] = format_datetime(utc_now())
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text_of(digest))
        return message


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """The server has taken the mail by now: that it does not answer to this makes nothing undone."""
    try:
        await client.quit(timeout=GOODBYE_TIMEOUT_S)
    except (aiosmtplib.SMTPException, OSError) as error:
        log.debug("a mail server did not say goodbye", reason=type(error).__name__)


# Webhook -------------------------------------------------------------------------------------


class WebhookChannel:
    """A POST signed as Standard Webhooks says; only 2xx counts as taken."""

    name = "webhook"

    def __init__(self, url: str, signer: Webhook, allow_private: bool) -> None:
        self._url = url
        self._signer = signer
        self._allow_private = allow_private

    async def send(self, digest: Digest) -> str:
        forbid_transaction()
        body, headers = self._signed(digest)
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_S)
        try:
            async with (
                open_session(allow_private=self._allow_private, limit=1) as session,
                session.post(self._url, data=body, headers=headers, timeout=timeout, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError:
            raise DeliveryFailed(f"no answer within {WEBHOOK_TIMEOUT_S:.0f} s") from None
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, RefusedAddress)
            raise DeliveryFailed("its address is not public" if refused else "cannot connect") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DeliveryFailed(type(error).__name__) from error
        if not 200 <= status < 300:
            raise DeliveryFailed(f"HTTP {status}")
        return f"HTTP {status}"

    def _signed(self, digest: Digest) -> tuple[bytes, dict[str, str]]:
        now = utc_now().astimezone(UTC)
        body = msgspec.json.encode(body_of(digest, now))
        message_id = f"msg_{uuid7().hex}"
        return body, {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message_id, now, body.decode()),
        }
