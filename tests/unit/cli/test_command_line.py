"""The command line itself: its words, its exit codes and what it loads."""

import subprocess
import sys

import pytest

from gateway.cli import run
from gateway.cli.parameters import Currency
from tests.support.commands import every_noun

COMMANDS = {
    "alerts": {"clear", "test"},
    "demo": set(),
    "serve": set(),
    "work": set(),
    "migrate": set(),
    "simulate": set(),
    "probe": set(),
    "user": {"add", "list", "role", "status"},
    "key": {"issue", "list", "revoke", "rotate", "set"},
    "tier": {"list", "set", "remove"},
    "wallet": {"alert", "deposit", "fee", "refund", "show", "statement", "withdraw"},
    "provider": {
        *("add", "sync", "list", "show", "set", "pause", "resume"),
        *("probes", "teach", "words", "money", "deposit", "days", "charges"),
    },
    "service": {"list", "show", "set", "quality"},
    "route": {"add", "list", "set", "quarantine", "accept", "resume"},
    "markup": {"set", "list", "drop"},
    "price": {"set", "list", "drop"},
    "secrets": {"rotate", "status"},
    "order": {"show", "explain", "refund", "resolve"},
    "ledger": {"verify"},
    "audit": set(),
    "webhook": {
        "add",
        "deliveries",
        "delivery",
        "list",
        "ping",
        "remove",
        "replay",
        "rotate",
        "set",
        "statistics",
    },
    "margin": set(),
}
HEAVY = ("alembic", "asyncpg", "sqlalchemy", "litestar", "uvicorn", "aiohttp", "redis", "cryptography", "argon2")


def leaves() -> list[list[str]]:
    return [[noun, verb] if verb else [noun] for noun, verbs in COMMANDS.items() for verb in sorted(verbs or {""})]


def test_the_commands_are_those_that_are_documented() -> None:
    found = {name: set(getattr(command, "commands", {})) for name, command in every_noun().items()}
    assert found == COMMANDS


@pytest.mark.parametrize("command", leaves(), ids=" ".join)
def test_every_command_has_help_and_takes_json(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_help_loads_nothing_heavy() -> None:
    script = "import sys, gateway.cli; gateway.cli.run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stderr.split())


def test_a_command_loads_no_other() -> None:
    script = "import sys, gateway.cli; gateway.cli.run(['user', '--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name for name in COMMANDS if f"gateway.cli.{name}" in done.stderr.split()} == {"user"}


def test_the_database_is_met_without_the_library_of_logs() -> None:
    script = "import sys, gateway.db.engine; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"structlog", "rich"} & set(done.stdout.split())


def test_a_word_that_is_nearly_a_command_is_told_which() -> None:
    done = subprocess.run([sys.executable, "-m", "gateway", "ordr"], capture_output=True, text=True, check=False)
    assert "Did you mean 'order'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command"),
        (["user", "add", "a@b.c"], "--role"),
        (["user", "add", "a@b.c", "--role", "king"], "king"),
        (["wallet", "deposit", "a@b.c", "1_0"], "not an amount"),
        (["wallet", "deposit", "a@b.c", "NaN"], "not an amount"),
        (["provider", "add", "p", "http://p", "--key-stdin", "--markup", "much"], "not a percentage"),
        (["order", "resolve", "100001"], "exactly one of"),
        (["order", "resolve", "100001", "--refund", "--not-placed"], "exactly one of"),
        (["key", "revoke", "7"], "UUID"),
        (["simulate", "--port", "0"], "exactly one of"),
        (["simulate", "--port", "0", "--key", "k", "--key-stdin"], "exactly one of"),
        (["wallet", "deposit", "a@b.c", "1e999999"], "too large an amount"),
        (["wallet", "deposit", "a@b.c", "\u0663"], "is not an amount"),
        (["wallet", "alert", "a@b.c", "1e-9"], "more than 8 decimal places"),
        (["order", "refund", "7", "0.000000001", "--reference", "r"], "more than 8 decimal places"),
        (["wallet", "deposit", "a@b.c", "1", "--currency", "dollar"], "not a currency"),
        (["wallet", "show", "nobody"], "not an e-mail address"),
        (["provider", "add", "p", "http://p", "--key-stdin", "--markup", "1e999999"], "too large a percentage"),
        (["provider", "add", "p", "http://p", "--key-stdin", "--priority", "99999999999"], "range"),
        (["order", "show", "99999999999999999999"], "range"),
        (["user", "add", "a b@c.d", "--role", "user"], "not an e-mail address"),
        (["user", "add", "\udcff@c.d", "--role", "user"], "not an e-mail address"),
        (["key", "issue", "a@b.c", "--tier", "pro", "--expires", "2020-01-01"], "has passed"),
        (["key", "issue", "a@b.c", "--tier", "pro", "--allow-address", "192.0.2.7/24"], "is 192.0.2.0/24 meant"),
        (["key", "issue", "a@b.c", "--tier", "pro", "--daily-spend-cap", "much"], "not an amount"),
        (["key", "set", "01a217cd-0f9e-7480-9080-a2b0ca633223"], "at least one option"),
        (["key", "set", "01a217cd-0f9e-7480-9080-a2b0ca633223", "--expires", "2020-01-01"], "has passed"),
        (["key", "rotate", "01a217cd-0f9e-7480-9080-a2b0ca633223", "--overlap", "soon"], "not a time"),
        (["tier", "set", "gold"], "--requests-per-minute"),
    ],
)
def test_a_command_given_wrongly_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize(("stdin", "said"), [("<&-", "which is closed"), ("</dev/null", "no key on stdin")])
def test_a_key_that_is_not_on_stdin_is_one_line(stdin: str, said: str) -> None:
    words = f'exec "$0" -m gateway provider add p http://p.example --key-stdin {stdin}'
    done = subprocess.run(["/bin/sh", "-c", words, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert said in done.stderr


def test_a_currency_is_read_in_capitals() -> None:
    assert Currency().convert("usd", None, None) == "USD"
