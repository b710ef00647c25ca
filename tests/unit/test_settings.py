"""Settings: where they come from, what is refused, and that their secrets stay out of logs."""

import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.data_dir import create_secret_key, write_settings_env
from gateway.errors import ConfigurationError
from gateway.settings import (
    Settings,
    load_settings,
    require_secret_key,
)
from gateway.telemetry import configure_logging
from gateway.webhooks.calling import TIMEOUT_S

SECRET = "s" * 40
API_KEY = "yb_" + "aB3" * 12


def problems_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(environ)
    return refusal.value.problems


def in_dir(data_dir: Path, **more: str) -> dict[str, str]:
    return {"GATEWAY_DATA_DIR": str(data_dir), **more}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_empty_environment_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(in_dir(tmp_path)) == Settings(data_dir=tmp_path)


def test_values_take_their_types(tmp_path: Path) -> None:
    settings = load_settings(
        in_dir(
            tmp_path,
            GATEWAY_WORKERS="3",
            GATEWAY_SEND_TIMEOUT_S="2.5",
            GATEWAY_ALLOW_PRIVATE_ADDRESSES="true",
            GATEWAY_LOG_FORMAT="JSON",
            GATEWAY_DATABASE_URL="postgresql://u:p@h/db",
        )
    )
    assert settings == Settings(
        data_dir=tmp_path,
        workers=3,
        send_timeout_s=2.5,
        allow_private_addresses=True,
        log_format="json",
        database_url="postgresql://u:p@h/db",
    )


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    problems = problems_of(
        in_dir(
            tmp_path,
            GATEWAY_WORKER="2",
            GATEWAY_WORKERS="none",
            GATEWAY_POOL_SIZE="0",
            GATEWAY_REDIS_URL="http://secret-host/",
            GATEWAY_BIND="8000",
            GATEWAY_SECRET_KEY_FILE=str(tmp_path / "absent"),
        )
    )
    assert len(problems) == 6
    assert "GATEWAY_WORKER is not a setting; did you mean GATEWAY_WORKERS?" in problems
    for name in ("WORKERS", "POOL_SIZE", "REDIS_URL", "BIND", "SECRET_KEY_FILE"):
        assert any(line.startswith(f"GATEWAY_{name}: ") for line in problems), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_DATABASE_URL", "mysql://u:hunter2@h/db"),
        ("GATEWAY_SECRET_KEY", "hunter2"),
        ("GATEWAY_CHECK_INTERVAL_MIN_S", "nan"),
        ("GATEWAY_CHECK_INTERVAL_MAX_S", "inf"),
        ("GATEWAY_RATE_BASIC", "1e9"),
        ("GATEWAY_BIND", "127.0.0.1:70000"),
        ("GATEWAY_CURRENCY", "usd"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8,hunter2"),
        ("GATEWAY_TRUSTED_PROXIES", "10.1.2.3/8"),
        ("GATEWAY_TRUSTED_PROXIES", "*"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0"),
        ("GATEWAY_TRUSTED_PROXIES", "::/0"),
        ("GATEWAY_DATABASE_URL", "postgresql://h:notaport/db"),
        ("GATEWAY_DATABASE_URL", "postgresql://u:hunter2/x@h/db"),
        ("GATEWAY_DATABASE_URL", "postgresql://h:70000/db"),
        ("GATEWAY_DATABASE_URL", "postgresql://[::1/db"),
        ("GATEWAY_REDIS_URL", "redis://:hunter2@h:x/0"),
        ("GATEWAY_LOG_LEVEL", "loud"),
        ("GATEWAY_SMTP_URL", "http://u:hunter2@h"),
        ("GATEWAY_ALERT_WEBHOOK_URL", "ftp://h/hunter2"),
        ("GATEWAY_ALERT_WEBHOOK_SECRET", "whsec_hunter2"),
        ("GATEWAY_ALERT_EMAIL_TO", "ann@example.com,hunter2"),
        ("GATEWAY_ALERT_EMAIL_FROM", "Ann <hunter2@example.com>"),
        ("gateway_bind", "127.0.0.1:1"),
    ],
)
def test_a_bad_value_is_refused_without_being_shown(tmp_path: Path, name: str, value: str) -> None:
    if not name.isupper():
        name = "GATEWAY_bind"
    [problem] = problems_of(in_dir(tmp_path, **{name: value}))
    assert problem.startswith(name)
    assert "hunter2" not in problem


def test_a_delivery_is_a_process_own_for_longer_than_its_call_takes(tmp_path: Path) -> None:
    [problem] = problems_of(in_dir(tmp_path, GATEWAY_WEBHOOK_LEASE_S=f"{TIMEOUT_S:g}"))
    assert problem.startswith("GATEWAY_WEBHOOK_LEASE_S: ")


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    problems = problems_of(
        in_dir(
            tmp_path,
            GATEWAY_CHECK_INTERVAL_MIN_S="10",
            GATEWAY_CHECK_INTERVAL_MAX_S="9",
            GATEWAY_SEND_TIMEOUT_S="60",
            GATEWAY_ALERT_EMAIL_TO="ann@example.com",
            GATEWAY_ALERT_WEBHOOK_URL="https://example.com/alerts",
        )
    )
    assert len(problems) == 4


def test_a_value_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://h:1/0\n")
    settings = load_settings(in_dir(tmp_path, GATEWAY_REDIS_URL_FILE=str(tmp_path / "url")))
    assert settings.redis_url == "redis://h:1/0"


def test_a_value_and_its_file_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://h:1/0\n")
    environ = in_dir(tmp_path, GATEWAY_REDIS_URL="redis://h", GATEWAY_REDIS_URL_FILE=str(tmp_path / "url"))
    assert problems_of(environ) == ["GATEWAY_REDIS_URL and GATEWAY_REDIS_URL_FILE are both set"]


def test_settings_env_lies_below_the_environment(tmp_path: Path) -> None:
    below = {
        "GATEWAY_BIND": "0.0.0.0:1",
        "GATEWAY_DATABASE_URL": "postgresql://u:a b'c@h/db$x".replace(" ", "%20"),
    }
    write_settings_env(tmp_path / "settings.env", below)
    (tmp_path / "bind").write_text("127.0.0.1:9")
    settings = load_settings(in_dir(tmp_path, GATEWAY_BIND_FILE=str(tmp_path / "bind")))
    assert settings.bind == "127.0.0.1:9"
    assert settings.database_url == below["GATEWAY_DATABASE_URL"]


def test_settings_env_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.env"
    write_settings_env(path, {"GATEWAY_BIND": "127.0.0.1:1", "GATEWAY_WORKERS": "2"})
    write_settings_env(path, {"GATEWAY_BIND": "127.0.0.1:2"})
    assert path.read_text() == "GATEWAY_BIND=127.0.0.1:2\n"
    assert mode_of(path) == 0o600
    assert os.listdir(path.parent) == ["settings.env"]


def test_a_line_break_cannot_smuggle_a_setting_in(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GATEWAY_BIND"):
        write_settings_env(tmp_path / "settings.env", {"GATEWAY_BIND": "a\nGATEWAY_WORKERS=9"})


def test_faults_in_settings_env_are_reported_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("# ok\n\nPATH=/x\nGATEWAY_NOPE=1\nGATEWAY_DATA_DIR=/y\n")
    assert len(problems_of(in_dir(tmp_path, GATEWAY_WORKERS="0"))) == 4


def test_without_a_secret_key_there_is_one_clear_line(tmp_path: Path) -> None:
    settings = load_settings(in_dir(tmp_path))
    with pytest.raises(ConfigurationError, match="GATEWAY_SECRET_KEY is not set") as refusal:
        require_secret_key(settings)
    assert len(refusal.value.problems) == 1


def test_the_demos_secret_key_is_private_kept_and_read(tmp_path: Path) -> None:
    made = create_secret_key(tmp_path / "data")
    assert create_secret_key(tmp_path / "data") == made
    assert require_secret_key(load_settings(in_dir(tmp_path / "data"))) == (made,)
    assert mode_of(tmp_path / "data" / "secret_key") == 0o600


def test_secret_keys_keep_their_order_and_go_before_the_file(tmp_path: Path) -> None:
    create_secret_key(tmp_path)
    settings = load_settings(in_dir(tmp_path, GATEWAY_SECRET_KEY=f"{SECRET}2, {SECRET}1"))
    assert settings.secret_key == (f"{SECRET}2", f"{SECRET}1")


def test_the_text_of_the_settings_hides_their_secrets() -> None:
    shown = repr(Settings(secret_key=(SECRET,), database_url="postgresql://u:hunter2@h/db"))
    assert SECRET not in shown
    assert "hunter2" not in shown
    assert "postgresql://u:***@h/db" in shown


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level, ours = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**ours)
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_reaches_the_log(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging(load_settings({"GATEWAY_DATA_DIR": "/nonexistent", "GATEWAY_LOG_FORMAT": log_format}))
    log = structlog.get_logger("test")
    log.info("key %s used", API_KEY, api_key="hunter2", nested={"Authorization": "hunter2", "x": [API_KEY]})
    log.info("open", url="postgresql://u:hunter2@h/db", body="key=hunter2&action=add", settings=Settings())
    logging.getLogger("uvicorn.error").warning("GET /api/v2?key=%s", "hunter2")
    try:
        raise ValueError(f"bad key {API_KEY} at redis://:hunter2@h")
    except ValueError:
        log.exception("failed")
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert API_KEY not in written
    assert "ValueError: bad key ***" in written


@pytest.mark.usefixtures("_logging_restored")
def test_json_lines_of_all_loggers_carry_the_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(log_format="json", log_level="warning"))
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("ours").info("too quiet")
        structlog.get_logger("ours").warning("ours", number=1)
        logging.getLogger("asyncio").error("theirs")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"], line["request_id"]) for line in lines] == [
        ("ours", "warning", "r1"),
        ("theirs", "error", "r1"),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p:q@h:5432/db?sslmode=require",
        "postgresql://u@h1:5432,h2:5433/db",
        "postgresql://u@[::1]:5432/db",
        "postgresql:///db?host=/run/postgresql",
    ],
)
def test_an_address_may_name_a_port_several_hosts_or_a_socket(tmp_path: Path, url: str) -> None:
    assert load_settings(in_dir(tmp_path, GATEWAY_DATABASE_URL=url)).database_url == url


def test_a_home_that_is_not_there_is_told_with_the_other_faults() -> None:
    problems = problems_of({"GATEWAY_DATA_DIR": "~nosuchuser/x", "GATEWAY_WORKERS": "none"})
    assert sorted(problem.partition(":")[0] for problem in problems) == ["GATEWAY_DATA_DIR", "GATEWAY_WORKERS"]


def test_what_is_stored_can_be_left_unread(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("GATEWAY_NO_LONGER=1\n'")
    assert load_settings(in_dir(tmp_path, GATEWAY_BIND="h:1"), stored=False).bind == "h:1"
