"""Channels that tell alerts to a real SMTP server and a real HTTP receiver."""

from collections.abc import AsyncIterator

import pytest

from gateway.alerts import store as alerts
from gateway.alerts.delivery.channels import Channel, channels_of
from gateway.alerts.delivery.telling import tell
from gateway.alerts.store import Alert
from gateway.db.engine import Database
from gateway.settings import Settings
from tests.support.receivers import WEBHOOK_SECRET, Mailbox, Receiver, open_mailbox, open_receiver

HOUR_S = 3600.0


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with open_mailbox() as mailbox:
        yield mailbox


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as receiver:
        yield receiver


def settings_for(mailbox: Mailbox | None = None, receiver: Receiver | None = None, **more: object) -> Settings:
    given: dict[str, object] = {"allow_private_addresses": True}
    if mailbox:
        given |= {"alert_email_to": "ann@example.com, bob@example.com", "alert_email_from": "gateway@example.com"}
        given |= {"smtp_url": mailbox.url}
    if receiver:
        given |= {"alert_webhook_url": receiver.url, "alert_webhook_secret": WEBHOOK_SECRET}
    return Settings(**(given | more))  # type: ignore[arg-type]


@pytest.fixture
def email(mailbox: Mailbox) -> Channel:
    [channel] = channels_of(settings_for(mailbox))
    return channel


@pytest.fixture
def webhook(receiver: Receiver) -> Channel:
    [channel] = channels_of(settings_for(receiver=receiver))
    return channel


async def raise_(db: Database, *subjects: str, kind: str = "unknown_order", message: str = "nobody knows") -> None:
    async with db.transaction() as tx:
        await alerts.raise_(tx, [Alert(kind, subject, message) for subject in subjects])


async def clear(db: Database, subject: str, kind: str = "unknown_order") -> None:
    async with db.transaction() as tx:
        await alerts.clear(tx, kind, subject)


async def told(db: Database, channel: Channel, *, repeat_s: float = HOUR_S) -> int:
    """Without the pause between two messages."""
    return await tell(db, channel, repeat_s=repeat_s, gap_s=0)
