"""A channel of alerts that fails: what is kept for it, how long it rests, and what is said of why."""

import asyncpg
import pytest

from gateway.alerts.delivery import store
from gateway.alerts.delivery.channels import Channel, DeliveryFailed, channels_of
from gateway.alerts.delivery.digest import TEST
from gateway.db.engine import Database
from tests.support.alert_channels import clear, email, mailbox, raise_, receiver, settings_for, told, webhook
from tests.support.receivers import Mailbox, Receiver

__all__ = ["email", "mailbox", "receiver", "webhook"]

FAILED = {"email": "alerts cannot be told by email: ", "webhook": "alerts cannot be told by webhook: "}


async def rested(owner: asyncpg.Connection) -> None:
    """A channel that failed has rested long enough."""
    await owner.execute("UPDATE alerts SET last_at = now() - interval '1 hour' WHERE kind = $1", store.UNDELIVERED)


async def failures(db: Database) -> dict[str, tuple[str, int]]:
    """What the channels that fail said, and how often in a row."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT subject, message, count FROM alerts WHERE kind = $1 AND cleared_at IS NULL", store.UNDELIVERED
        )
    return {row["subject"]: (row["message"].removeprefix(FAILED[row["subject"]]), row["count"]) for row in rows}


async def test_a_receiver_that_is_down_gets_all_once_it_is_up_and_the_mail_goes_out_meanwhile(
    db: Database, owner: asyncpg.Connection, mailbox: Mailbox, email: Channel, receiver: Receiver, webhook: Channel
) -> None:
    receiver.status = 503
    await raise_(db, "order 100001")
    assert await told(db, webhook) == 0
    assert await failures(db) == {"webhook": ("HTTP 503", 1)}
    assert await told(db, email) == 2
    assert "webhook: alerts cannot be told by webhook: HTTP 503" in mailbox.texts[0]
    await clear(db, "order 100001")
    await raise_(db, "order 100002")
    await rested(owner)
    assert await told(db, webhook) == 0
    assert await failures(db) == {"webhook": ("HTTP 503", 2)}
    receiver.status = 204
    await rested(owner)
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
    db: Database, owner: asyncpg.Connection, receiver: Receiver, webhook: Channel
) -> None:
    receiver.status = 500
    await raise_(db, "order 100001")
    for count, rest_s in ((1, 15), (2, 30), (5, 240), (30, 900)):
        await rested(owner)
        await told(db, webhook)
        for age_s, due in ((rest_s - 2, 0), (rest_s + 1, 1)):
            await owner.execute(
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
