"""Operators' commands as real processes on a real database."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from compat.simulator import Simulator
from gateway.embedded import EmbeddedServers
from gateway.processes import find_free_port

SECRET = "a-secret-of-the-tests-0123456789abcdef"


@dataclass
class Done:
    code: int
    out: str
    err: str

    def json(self) -> object:
        assert self.code == 0, self.err
        return json.loads(self.out)


Gateway = Callable[..., Awaitable[Done]]


async def execute(*words: str, stdin: str = "", **environ: str) -> Done:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        env=inherited | environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    return Done(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Gateway:
    async def run(*words: str, stdin: str = "", **environ: str) -> Done:
        given = {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_DATA_DIR": str(tmp_path / "data"),
            "GATEWAY_SECRET_KEY": SECRET,
            "GATEWAY_ALLOW_PRIVATE_ADDRESSES": "1",
        }
        return await execute(*words, stdin=stdin, **(given | environ))

    return run


def is_one_line(text: str) -> bool:
    return text.endswith("\n") and text.count("\n") == 1 and text.startswith("gateway: ")


async def test_a_key_is_alone_on_stdout_and_works_until_it_is_revoked(gateway: Gateway) -> None:
    added = await gateway("user", "add", "Ann@Example.com", "--role", "reseller", "--password-stdin", stdin="pw\n")
    assert (added.code, added.err) == (0, "")
    issued = await gateway("key", "issue", "ann@example.com", "--tier", "pro", "--name", "shop")
    assert re.fullmatch(r"yb_[0-9A-Za-z]{36}\n", issued.out)
    listed = (await gateway("key", "list", "ann@example.com", "--json")).json()
    assert isinstance(listed, list)
    assert [(row["name"], row["tier"], row["is_active"]) for row in listed] == [("shop", "pro", True)]
    assert listed[0]["key_id"] in issued.err
    assert issued.out.strip() not in json.dumps(listed)
    revoked = await gateway("key", "revoke", listed[0]["key_id"], "--json")
    assert revoked.json() == {"id": listed[0]["key_id"], "is_active": False}


async def test_a_key_as_json_has_its_id_beside_it(gateway: Gateway) -> None:
    await gateway("user", "add", "ann@example.com", "--role", "reseller")
    words = ["key", "issue", "ann@example.com", "--tier", "basic", "--expires", "2030-01-02", "--json"]
    issued = (await gateway(*words)).json()
    assert isinstance(issued, dict)
    assert set(issued) == {"id", "key", "tier", "expires_at"}
    assert issued["expires_at"] == "2030-01-02T00:00:00Z"


async def test_a_reference_is_deposited_once(gateway: Gateway) -> None:
    await gateway("user", "add", "ann@example.com", "--role", "reseller")
    deposit = ["wallet", "deposit", "ann@example.com", "12.5", "--reference", "invoice 7"]
    first, second = await gateway(*deposit), await gateway(*deposit)
    assert first.code == 0
    assert second.code == 1
    assert is_one_line(second.err)
    shown = (await gateway("wallet", "show", "ann@example.com", "--json")).json()
    assert isinstance(shown, dict)
    assert (shown["balance"], shown["hold"], shown["spendable"]) == ("12.5", "0", "12.5")
    assert (await gateway("ledger", "verify")).out == "the ledger is clean\n"


async def test_verify_names_the_wallet_whose_rows_were_changed(gateway: Gateway, database_url: str) -> None:
    await gateway("user", "add", "ann@example.com", "--role", "reseller")
    wallet = (await gateway("wallet", "deposit", "ann@example.com", "10", "--json")).json()
    assert isinstance(wallet, dict)
    superuser = await asyncpg.connect(database_url)
    await superuser.execute("SET session_replication_role = replica")
    await superuser.execute("UPDATE ledger SET amount = 11, balance_after = 11")
    await superuser.close()
    verified = await gateway("ledger", "verify")
    assert verified.code == 1
    assert f"wallet {wallet['id']} of ann@example.com" in verified.err
    as_json = await gateway("ledger", "verify", "--json")
    assert as_json.code == 1
    assert json.loads(as_json.out)["problems"][0]["wallet_id"] == wallet["id"]


async def test_a_providers_catalogue_is_taken_over_with_the_markup(gateway: Gateway) -> None:
    simulator = Simulator(key="k")
    url = await simulator.start()
    try:
        added = await gateway("provider", "add", "up", url, "--key-stdin", "--markup", "25%", stdin="k\n")
        assert added.code == 0, added.err
        dry = (await gateway("provider", "sync", "up", "--dry-run", "--json")).json()
        assert (await gateway("service", "list", "--json")).json() == []
        synced = (await gateway("provider", "sync", "up", "--json")).json()
        services = (await gateway("service", "list", "--json")).json()
    finally:
        await simulator.stop()
    assert isinstance(dry, dict)
    assert isinstance(synced, dict)
    assert dry["new"] == synced["new"] > 0
    assert isinstance(services, list)
    assert services[0]["rate"] == "1.125"
    listed = (await gateway("provider", "list", "--json")).json()
    assert isinstance(listed, list)
    assert (listed[0]["name"], listed[0]["markup_percent"]) == ("up", "25")


async def test_a_provider_that_does_not_answer_is_one_line(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{find_free_port()}/api/v2"
    await gateway("provider", "add", "up", url, "--key-stdin", stdin="k\n")
    synced = await gateway("provider", "sync", "up")
    assert synced.code == 1
    assert is_one_line(synced.err)


@pytest.mark.parametrize(
    "words",
    [
        ["key", "issue", "nobody@example.com", "--tier", "pro"],
        ["wallet", "deposit", "nobody@example.com", "1"],
        ["wallet", "show", "nobody@example.com"],
        ["user", "status", "nobody@example.com", "banned"],
        ["provider", "sync", "nobody"],
        ["order", "show", "100001"],
        ["order", "resolve", "100001", "--refund"],
    ],
    ids=" ".join,
)
async def test_what_there_is_not_is_one_line(gateway: Gateway, words: list[str]) -> None:
    done = await gateway(*words)
    assert (done.code, done.out) == (1, "")
    assert is_one_line(done.err)
    assert "not found" in done.err


async def test_a_database_that_is_down_is_one_line(gateway: Gateway) -> None:
    url = f"postgresql://gateway@127.0.0.1:{find_free_port()}/gateway"
    for words in (["ledger", "verify"], ["migrate"], ["user", "add", "a@b.c", "--role", "user"]):
        done = await gateway(*words, GATEWAY_DATABASE_URL=url)
        assert done.code == 1
        assert is_one_line(done.err)


async def test_an_empty_database_asks_for_migrate_which_sets_it_up(gateway: Gateway, empty_database_url: str) -> None:
    words = ["user", "add", "a@b.c", "--role", "user"]
    before = await gateway(*words, GATEWAY_DATABASE_URL=empty_database_url)
    assert before.err == "gateway: the database is not set up: run gateway migrate\n"
    assert (await gateway("migrate", GATEWAY_DATABASE_URL=empty_database_url)).code == 0
    assert (await gateway(*words, GATEWAY_DATABASE_URL=empty_database_url)).code == 0


async def test_every_fault_of_the_settings_has_its_line(gateway: Gateway) -> None:
    done = await gateway("service", "list", GATEWAY_WORKERS="none", GATEWAY_NONSENSE="1")
    assert done.code == 1
    assert len(done.err.splitlines()) == 2


async def test_without_a_database_an_operator_is_told_what_to_set(tmp_path: Path) -> None:
    done = await execute("service", "list", GATEWAY_DATA_DIR=str(tmp_path / "none"))
    assert done.code == 1
    assert is_one_line(done.err)
    assert "GATEWAY_DATABASE_URL" in done.err
    assert not (tmp_path / "none").exists()


async def test_migrate_without_a_database_makes_an_embedded_one_that_later_commands_find(tmp_path: Path) -> None:
    environ = {"GATEWAY_DATA_DIR": str(tmp_path / "data")}
    migrated = await execute("migrate", "--json", **environ)
    assert isinstance(migrated.json(), dict)
    assert (await execute("service", "list", "--json", **environ)).json() == []


async def test_commands_use_the_embedded_servers_that_another_one_runs(tmp_path: Path) -> None:
    environ = {"GATEWAY_DATA_DIR": str(tmp_path / "data")}
    with EmbeddedServers(tmp_path / "data", durable=False):
        assert (await execute("migrate", **environ)).code == 0
        assert (await execute("user", "add", "a@b.c", "--role", "user", **environ)).code == 0
    assert (await execute("key", "list", "a@b.c", "--json", **environ)).json() == []


async def test_a_fault_that_the_simulator_has_not_is_one_line() -> None:
    done = await execute("simulate", "--port", "0", "--key", "k", "--fault", "nonsense")
    assert done.code == 1
    assert is_one_line(done.err)
