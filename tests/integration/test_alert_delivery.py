"""Alerts told through a real SMTP server and a real HTTP receiver."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from dirty_equals import IsPartialDict

from gateway.alerts import store as alerts
from gateway.alerts.delivery import store
from gateway.alerts.delivery.channels import Channel, DeliveryFailed, channels_of
from gateway.alerts.delivery.digest import TEST, Digest
from gateway.alerts.delivery.telling import tell
from gateway.alerts.store import Alert
from gateway.alerts.watch import Watch
from gateway.db.engine import Database
from gateway.settings import Settings
from tests.support.receivers import WEBHOOK_SECRET, Mailbox, Receiver, open_mailbox, open_receiver

HOUR_S = 3600.0
FAILED = {"email": "alerts cannot be told by email: ", "webhook": "alerts cannot be told by webhook: "}


@pytest.fixture
async def root(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


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


async def rested(root: asyncpg.Connection) -> None:
    """A channel that failed has rested long enough."""
    await root.execute("UPDATE alerts SET last_at = now() - interval '1 hour' WHERE kind = $1", store.UNDELIVERED)


async def failures(db: Database) -> dict[str, tuple[str, int]]:
    """What the channels that fail said, and how often in a row."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT subject, message, count FROM alerts WHERE kind = $1 AND cleared_at IS NULL", store.UNDELIVERED
        )
    return {row["subject"]: (row["message"].removeprefix(FAILED[row["subject"]]), row["count"]) for row in rows}


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
    db: Database, root: asyncpg.Connection, receiver: Receiver, webhook: Channel
) -> None:
    await raise_(db, "order 100001")
    for _ in range(3):
        await told(db, webhook)
        await raise_(db, "order 100001")
    assert len(receiver.posts) == 1
    await root.execute("UPDATE alert_tellings SET told_at = now() - interval '1 hour'")
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
    db: Database, root: asyncpg.Connection, receiver: Receiver, webhook: Channel
) -> None:
    await raise_(db, "order 100001")
    assert await tell(db, webhook, repeat_s=HOUR_S) == 1
    await raise_(db, "order 100002", "order 100003")
    assert await tell(db, webhook, repeat_s=HOUR_S) == 0
    await root.execute("UPDATE alert_tellings SET told_at = now() - interval '61 seconds'")
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
    db: Database, root: asyncpg.Connection, receiver: Receiver, webhook: Channel
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
    await root.execute("UPDATE alert_tellings SET claimed_until = now() - interval '1 second'")
    assert await told(db, webhook) == 1
    assert len(receiver.posts) == 2


async def test_who_was_told_of_what_is_long_over_is_forgotten(
    db: Database, root: asyncpg.Connection, webhook: Channel
) -> None:
    await raise_(db, "order 100001", "order 100002")
    await told(db, webhook)
    await root.execute("UPDATE alerts SET cleared_at = now() - interval '3 days' WHERE subject = 'order 100001'")
    await raise_(db, "order 100003")
    assert await told(db, webhook) == 1
    assert await root.fetchval("SELECT count(*) FROM alert_tellings") == 2


# A channel that fails ------------------------------------------------------------------------


async def test_a_receiver_that_is_down_gets_all_once_it_is_up_and_the_mail_goes_out_meanwhile(
    db: Database, root: asyncpg.Connection, mailbox: Mailbox, email: Channel, receiver: Receiver, webhook: Channel
) -> None:
    receiver.status = 503
    await raise_(db, "order 100001")
    assert await told(db, webhook) == 0
    assert await failures(db) == {"webhook": ("HTTP 503", 1)}
    assert await told(db, email) == 2
    assert "webhook: alerts cannot be told by webhook: HTTP 503" in mailbox.texts[0]
    await clear(db, "order 100001")
    await raise_(db, "order 100002")
    await rested(root)
    assert await told(db, webhook) == 0
    assert await failures(db) == {"webhook": ("HTTP 503", 2)}
    receiver.status = 204
    await rested(root)
    assert await told(db, webhook) == 2
    assert {(alert["subject"], alert["state"]) for alert in receiver.alerts()} == {
        ("order 100001", "cleared"),
        ("order 100002", "open"),
    }
    assert await failures(db) == {}
    assert await told(db, webhook) == 0
    await told(db, email)
    assert "cleared: alert_undelivered (1)" in mailbox.texts[1]


async def test_a_channel_that_failed_rests_longer_each_time_up_to_a_bound(
    db: Database, root: asyncpg.Connection, receiver: Receiver, webhook: Channel
) -> None:
    receiver.status = 500
    await raise_(db, "order 100001")
    for count, rest_s in ((1, 15), (2, 30), (5, 240), (30, 900)):
        await rested(root)
        await told(db, webhook)
        for age_s, due in ((rest_s - 2, 0), (rest_s + 1, 1)):
            await root.execute(
                "UPDATE alerts SET count = $1, last_at = now() - make_interval(secs => $2) WHERE kind = $3",
                count,
                float(age_s),
                store.UNDELIVERED,
            )
            before = (await failures(db))["webhook"][1]
            await told(db, webhook)
            assert (await failures(db))["webhook"][1] - before == due


@pytest.mark.parametrize("answer", ["451 try later", "550 no"])
async def test_a_mail_server_that_refuses_is_told_of(
    db: Database, mailbox: Mailbox, email: Channel, answer: str
) -> None:
    mailbox.answer = answer
    await raise_(db, "order 100001")
    assert await told(db, email) == 0
    reason, _ = (await failures(db))["email"]
    assert answer.partition(" ")[2] in reason


async def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver, webhook: Channel) -> None:
    receiver.status = 307
    with pytest.raises(DeliveryFailed, match="HTTP 307"):
        await webhook.send(TEST)
    assert receiver.posts == []


async def test_a_webhook_on_a_private_address_is_refused_unless_that_is_allowed(receiver: Receiver) -> None:
    [channel] = channels_of(settings_for(receiver=receiver, allow_private_addresses=False))
    with pytest.raises(DeliveryFailed, match="its address is not public"):
        await channel.send(TEST)
    assert receiver.posts == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/T0K3N", "http://nowhere.invalid/T0K3N", "http://[::1/T0K3N"])
async def test_why_a_webhook_failed_is_told_without_its_address(receiver: Receiver, url: str) -> None:
    [channel] = channels_of(settings_for(receiver=receiver, alert_webhook_url=url))
    with pytest.raises(DeliveryFailed) as failed:
        await channel.send(TEST)
    assert "T0K3N" not in str(failed.value)


async def test_a_mail_server_that_is_down_is_told_of_without_its_password() -> None:
    settings = settings_for(Mailbox("smtp://gateway:hunter2@127.0.0.1:1"))
    [channel] = channels_of(settings)
    with pytest.raises(DeliveryFailed) as failed:
        await channel.send(TEST)
    assert "hunter2" not in str(failed.value)
    assert "hunter2" not in repr(settings)


async def test_a_password_is_not_sent_over_a_line_that_is_open(mailbox: Mailbox) -> None:
    url = mailbox.url.replace("smtp://", "smtp://gateway:hunter2@") + "?starttls"
    [channel] = channels_of(settings_for(Mailbox(url)))
    with pytest.raises(DeliveryFailed, match=r"(?i)starttls"):
        await channel.send(TEST)
    assert mailbox.messages == []


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
