"""Alerts from the condition to the operator, through real processes, and the commands for them."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.db.engine import Database
from tests.support.factories import add_provider
from tests.support.processes import Installation, Processes, eventually, running_processes
from tests.support.receivers import WEBHOOK_SECRET, Mailbox, Receiver, open_mailbox, open_receiver
from tests.support.servers import ServerUrls


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with running_processes(tmp_path) as processes:
        yield processes


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with open_mailbox() as mailbox:
        yield mailbox


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as receiver:
        yield receiver


@pytest.fixture
def installation(
    processes: Processes, database_url: str, servers: ServerUrls, mailbox: Mailbox, receiver: Receiver
) -> Installation:
    channels = {
        "alert_email_to": "ann@example.com",
        "alert_email_from": "gateway@example.com",
        "smtp_url": mailbox.url,
        "alert_webhook_url": receiver.url,
        "alert_webhook_secret": WEBHOOK_SECRET,
    }
    return Installation(processes, database_url, servers.redis_url, extra=channels)


async def listed(installation: Installation, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(await installation.command("alerts", *words, "--json"))
    return rows


async def test_a_worker_tells_what_holds_and_what_is_over_by_mail_and_webhook(
    installation: Installation, db: Database, owner: asyncpg.Connection, mailbox: Mailbox, receiver: Receiver
) -> None:
    await add_provider(db, name="upstream")
    await owner.execute("UPDATE providers SET balance = 1, low_balance = 5")
    worker = installation.work()

    async def both_told() -> bool:
        return bool(mailbox.messages and receiver.posts)

    await eventually(both_told, what="the alert told", within_s=40)
    assert "upstream has 1 USD of ours left, below 5" in mailbox.texts[0]
    assert [alert["kind"] for alert in receiver.alerts()] == ["provider_low"]

    async def recorded() -> bool:
        return any(row["told"].keys() == {"email", "webhook"} for row in await listed(installation))

    await eventually(recorded, what="the telling recorded")
    assert "provider_low" in await installation.command("alerts")
    await owner.execute("UPDATE providers SET balance = 9")
    await owner.execute("UPDATE alerts SET last_at = now() - interval '2 minutes'")
    await owner.execute("UPDATE alert_tellings SET told_at = now() - interval '2 minutes'")

    async def both_over() -> bool:
        return len(mailbox.messages) >= 2 and len(receiver.posts) >= 2

    await eventually(both_over, what="its end told", within_s=60)
    assert [alert["state"] for alert in receiver.alerts()] == ["open", "cleared"]
    assert mailbox.messages[1]["Subject"] == "[gateway] 1 cleared"
    assert await listed(installation) == []
    assert await owner.fetchval("SELECT count(*) FROM processes") == 1
    worker.ask_to_stop()
    assert worker.popen.wait(30) == 0
    assert await owner.fetchval("SELECT count(*) FROM processes") == 0


async def test_a_worker_that_was_killed_is_missed_by_the_processes_that_serve(
    installation: Installation, owner: asyncpg.Connection, mailbox: Mailbox
) -> None:
    worker = installation.work()

    async def beats() -> bool:
        return bool(await owner.fetchval("SELECT count(*) FROM processes WHERE kind = 'work'"))

    await eventually(beats, what="its pulse")
    worker.kill()
    await owner.execute("UPDATE processes SET seen_at = now() - interval '61 seconds'")
    installation.serve()

    async def watched() -> bool:
        return bool(await owner.fetchval("SELECT count(*) FROM processes WHERE kind = 'serve'"))

    await eventually(watched, what="the pulse of who serves")
    await owner.execute("UPDATE processes SET started_at = now() - interval '61 seconds'")

    async def missed() -> bool:
        return any("no worker was seen" in text for text in mailbox.texts)

    await eventually(missed, what="the mail", within_s=60)
    installation.work()

    async def seen() -> bool:
        return bool(
            await owner.fetchval(
                "SELECT count(*) FROM processes WHERE kind = 'work' AND seen_at > now() - '9 s'::interval"
            )
        )

    await eventually(seen, what="another worker")
    await owner.execute("UPDATE alerts SET last_at = now() - interval '2 minutes'")

    async def over() -> bool:
        return await listed(installation) == []

    await eventually(over, what="the alert cleared", within_s=60)


async def test_the_commands_show_clear_and_try(
    installation: Installation, db: Database, owner: asyncpg.Connection, mailbox: Mailbox, receiver: Receiver
) -> None:
    assert await installation.command("alerts") == "no open alerts"
    for kind, subject in (("ledger", "ledger"), ("surplus_run", "parent 1"), ("surplus_run", "parent 2")):
        await owner.execute("INSERT INTO alerts (kind, subject, message) VALUES ($1, $2, 'look')", kind, subject)
    rows = await listed(installation)
    assert [row["subject"] for row in rows] == ["parent 2", "parent 1", "ledger"]
    assert await installation.command("alerts", "clear", rows[2]["id"]) == "1 cleared"
    assert json.loads(await installation.command("alerts", "clear", "--kind", "surplus_run", "--json")) == {
        "cleared": 2
    }
    assert await listed(installation) == []
    assert {row["subject"] for row in await listed(installation, "--all")} == {"parent 2", "parent 1", "ledger"}
    with pytest.raises(AssertionError, match=r"gateway: open alert .* not found"):
        await installation.command("alerts", "clear", rows[2]["id"])
    assert await installation.command("alerts", "test") == "email: ok: sent to 1 of 1\nwebhook: ok: HTTP 200"
    assert len(mailbox.messages) == len(receiver.posts) == 1
    receiver.status = 500
    with pytest.raises(AssertionError, match="a channel did not take the test"):
        await installation.command("alerts", "test", "--json")
    assert len(mailbox.messages) == 2
