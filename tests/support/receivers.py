"""Where alerts arrive in tests: a real SMTP server and a real HTTP receiver, each up or down as told."""

import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.processes import find_free_port

WEBHOOK_SECRET = "whsec_" + "c2VjcmV0" * 4


@dataclass
class Mailbox:
    """What an SMTP server took; `answer` other than 250 is its refusal."""

    url: str = ""
    answer: str = "250 OK"
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
            self.recipients.append(list(envelope.rcpt_tos))
        return self.answer

    @property
    def texts(self) -> list[str]:
        return [message.get_content() for message in self.messages]


@asynccontextmanager
async def open_mailbox() -> AsyncIterator[Mailbox]:
    """Listens on a loopback port while the block runs, in the test's own event loop."""
    import asyncio

    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, hostname="localhost", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    mailbox.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()


@dataclass
class Receiver:
    """What was posted; `status` is what it answers."""

    url: str = ""
    status: int = 200
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if 200 <= self.status < 300:
            self.posts.append(({name.lower(): value for name, value in request.headers.items()}, body))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts of all posts, in order; each post's signature is verified."""
        from standardwebhooks import Webhook

        verified = [Webhook(WEBHOOK_SECRET).verify(body, headers) for headers, body in self.posts]
        return [alert for message in verified for alert in message["data"]["alerts"]]


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/alerts", receiver.handle)
    app.router.add_route("*", "/elsewhere", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = find_free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{port}/alerts"
    try:
        yield receiver
    finally:
        await runner.cleanup()
