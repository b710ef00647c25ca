"""Alerts told through a real SMTP server and a real HTTP receiver: what a message says, and when there is one."""

import asyncio

import asyncpg
import pytest
from dirty_equals import IsPartialDict

from gateway.alerts.delivery.channels import Channel, channels_of
from gateway.alerts.delivery.digest import Digest
from gateway.alerts.delivery.telling import tell
from gateway.alerts.watch import Watch
from gateway.db.engine import Database
from gateway.settings import Settings
from tests.support.alert_channels import (
    HOUR_S,
    clear,
    email,
    mailbox,
    raise_,
    receiver,
    settings_for,
    told,
    webhook,
)
from tests.support.receivers import Mailbox, Receiver

__all__ = ["email", "mailbox", "receiver", "webhook"]

# One message ---------------------------------------------------------------------------------


async def test_many_alerts_are_one_mail_to_all_recipients(db: Database, mailbox: Mailbox, email: Channel) -> None:
    await raise_(db, *(f"order {number}" for number in range(100_001, 100_041)))
    await raise_(db, "wallet 7", kind="reseller_low", message="ann@example.com has\r\nBcc: all 1 USD left")
    assert await told(db, email) == 41
    [message] = mailbox.messages
    assert mailbox.recipients == [["ann@example.com", "bob@example.com"]]
    assert message["Subject"] == "[gateway] 40 critical, 1 info"
    assert message["From"] == "gateway@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Bcc"] is None
    [text] = mailbox.texts
    assert "CRITICAL: unknown_order (40)" in text
    assert text.count("nobody knows") == 10
    assert "… and 30 more of this kind" in text
    assert "wallet 7: ann@example.com has Bcc: all 1 USD left (since 20" in text
    assert text.index("CRITICAL") < text.index("INFO")


async def test_a_webhook_is_signed_and_has_the_alerts_as_data(
    db: Database, receiver: Receiver, webhook: Channel
) -> None:
    await raise_(db, "order 100001")
    await raise_(db, "order 100001")
    assert await told(db, webhook) == 1
    [alert] = receiver.alerts()
    assert alert == IsPartialDict(
        kind="unknown_order",
        severity="critical",
        state="open",
        subject="order 100001",
        message="nobody knows",
        count=2,
        cleared_at=None,
    )
    [(headers, _)] = receiver.posts
    assert headers["content-type"] == "application/json"


async def test_a_secret_in_a_message_is_masked(
    db: Database, mailbox: Mailbox, email: Channel, receiver: Receiver, webhook: Channel
) -> None:
    key = "yb_" + "aB3" * 12
    await raise_(db, "provider 7", message=f"the provider said: bad api_key=hunter2 {key} http://u:hunter2@h/")
    assert await told(db, email) == await told(db, webhook) == 1
    said = mailbox.texts[0] + str(receiver.posts[0])
    assert "hunter2" not in said
    assert key not in said
    assert "the provider said" in mailbox.texts[0]


# When ----------------------------------------------------------------------------------------


async def test_an_alert_is_told_once_an_interval_and_once_when_it_is_over(
    db: Database, owner: asyncpg.Connection, receiver: Receiver, webhook: Channel
) -> None:
    await raise_(db, "order 100001")
    for _ in range(3):
        await told(db, webhook)
        await raise_(db, "order 100001")
    assert len(receiver.posts) == 1
    await owner.execute("UPDATE alert_tellings SET told_at = now() - interval '1 hour'")
    for _ in range(3):
        await told(db, webhook)
    assert len(receiver.posts) == 2
    await clear(db, "order 100001")
    for _ in range(3):
        await told(db, webhook)
    assert [(alert["state"], alert["count"]) for alert in receiver.alerts()] == [
        ("open", 1),
        ("open", 4),
        ("cleared", 4),
    ]


async def test_what_comes_back_is_told_again(db: Database, receiver: Receiver, webhook: Channel) -> None:
    for _ in range(2):
        await raise_(db, "order 100001")
        await told(db, webhook)
        await clear(db, "order 100001")
        await told(db, webhook)
    assert [alert["state"] for alert in receiver.alerts()] == ["open", "cleared"] * 2


async def test_what_arises_soon_after_a_message_waits_for_the_next(
    db: Database, owner: asyncpg.Connection, receiver: Receiver, webhook: Channel
) -> None:
    await raise_(db, "order 100001")
    assert await tell(db, webhook, repeat_s=HOUR_S) == 1
    await raise_(db, "order 100002", "order 100003")
    assert await tell(db, webhook, repeat_s=HOUR_S) == 0
    await owner.execute("UPDATE alert_tellings SET told_at = now() - interval '61 seconds'")
    assert await tell(db, webhook, repeat_s=HOUR_S) == 2
    assert len(receiver.posts) == 2


async def test_many_processes_tell_an_alert_once(db: Database, receiver: Receiver, webhook: Channel) -> None:
    await raise_(db, *(f"order {number}" for number in range(20)))
    assert sum(await asyncio.gather(*(told(db, webhook) for _ in range(8)))) == 20
    assert len(receiver.posts) == 1


async def test_an_alert_that_is_cleared_while_it_is_told_is_told_of_as_cleared_next(
    db: Database, receiver: Receiver, webhook: Channel
) -> None:
    class Clearing:
        name = "webhook"

        async def send(self, digest: Digest) -> str:
            await clear(db, "order 100001")
            return await webhook.send(digest)

    await raise_(db, "order 100001")
    assert await told(db, Clearing()) == 1
    assert await told(db, webhook) == 1
    assert await told(db, webhook) == 0
    assert [alert["state"] for alert in receiver.alerts()] == ["open", "cleared"]


async def test_a_process_that_dies_between_the_send_and_its_record_makes_another_repeat_it(
    db: Database, owner: asyncpg.Connection, receiver: Receiver, webhook: Channel
) -> None:
    class Dying:
        name = "webhook"

        async def send(self, digest: Digest) -> str:
            await webhook.send(digest)
            raise asyncio.CancelledError

    await raise_(db, "order 100001")
    with pytest.raises(asyncio.CancelledError):
        await told(db, Dying())
    assert await told(db, webhook) == 0
    await owner.execute("UPDATE alert_tellings SET claimed_until = now() - interval '1 second'")
    assert await told(db, webhook) == 1
    assert len(receiver.posts) == 2


async def test_who_was_told_of_what_is_long_over_is_forgotten(
    db: Database, owner: asyncpg.Connection, webhook: Channel
) -> None:
    await raise_(db, "order 100001", "order 100002")
    await told(db, webhook)
    await owner.execute("UPDATE alerts SET cleared_at = now() - interval '3 days' WHERE subject = 'order 100001'")
    await raise_(db, "order 100003")
    assert await told(db, webhook) == 1
    assert await owner.fetchval("SELECT count(*) FROM alert_tellings") == 2


# Which channels ------------------------------------------------------------------------------


async def test_each_channel_has_a_loop_of_its_own(db: Database, mailbox: Mailbox, receiver: Receiver) -> None:
    watch = Watch(db, settings_for(mailbox, receiver), "work")
    assert [name for name, _, _ in watch.jobs()] == [
        "pulse",
        "alert conditions",
        "alerts by email",
        "alerts by webhook",
    ]
    await raise_(db, "order 100001")
    await watch.jobs()[3][2]()
    assert (len(mailbox.messages), len(receiver.posts)) == (0, 1)
    await watch.jobs()[2][2]()
    assert (len(mailbox.messages), len(receiver.posts)) == (1, 1)


async def test_without_settings_there_is_no_channel() -> None:
    assert channels_of(Settings()) == []
