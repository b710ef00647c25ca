"""The settings: read once from the environment, `_FILE` names and `DATA_DIR/settings.env`, then passed."""

import difflib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from gateway.errors import ConfigurationError
from gateway.setting_forms import READERS, SECRET_MIN_CHARACTERS

PREFIX = "GATEWAY_"
SETTINGS_ENV = "settings.env"
SECRET_KEY = "secret_key"

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
LongSeconds = Annotated[int, Meta(ge=1, le=10_000_000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Names are the environment's in lower case; the unit stands last in a name.

    Its text form hides every secret, so that it may be logged.
    """

    database_url: str | None = None
    database_direct_url: str | None = None
    redis_url: str | None = None
    secret_key: tuple[str, ...] = ()
    """Newest first; the others only read what they once wrote."""
    bind: str = "127.0.0.1:8000"
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    data_dir: Path = Path(".gateway")
    currency: str = "USD"
    allow_private_addresses: bool = False
    rate_basic: Count = 60
    """Requests a minute, as the two that follow."""
    rate_pro: Count = 600
    rate_enterprise: Count = 6000
    rate_wrong_keys: Count = 30
    """Wrong keys a minute and address."""
    redis_timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] = 250
    pool_size: Annotated[int, Meta(ge=1, le=1000)] = 10
    send_timeout_s: Seconds = 20.0
    send_lease_s: Seconds = 60.0
    poll_timeout_s: Seconds = 20.0
    check_interval_min_s: Seconds = 5.0
    check_interval_max_s: Seconds = 900.0
    unknown_max_age_s: LongSeconds = 86_400
    unknown_open_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 5
    """Unknown orders at one provider; with more it is paused."""
    unknown_percent_max: Annotated[float, Meta(gt=0, le=100)] = 0.5
    """Of its sends in ten minutes; with more it is paused."""
    queued_max_age_s: LongSeconds = 86_400
    refill_wait_s: Annotated[int, Meta(ge=0, le=10_000_000)] = 86_400
    """From the completion of an order, or its last refill, until the next may be asked for."""
    sync_interval_s: LongSeconds = 1800
    """Between two syncs of a provider's services."""
    balance_interval_s: Seconds = 300.0
    """Between two readings of our balance at a provider; a tenth of it where a route waits for money."""
    provider_max_in_flight: Annotated[int, Meta(ge=1, le=10_000)] = 16
    webhook_in_flight: Annotated[int, Meta(ge=1, le=1000)] = 32
    """Calls at once to one endpoint, of each worker."""
    webhook_lease_s: Annotated[float, Meta(ge=20, le=3600)] = 60.0
    """For a call, of 15 s at most, and its record; what a process that died had in hand goes out again after it."""
    webhook_retries_s: tuple[float, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    """Between the attempts of one delivery."""
    shutdown_grace_s: Seconds = 25.0
    trusted_proxies: str = ""
    stuck_order_s: LongSeconds = 259_200
    alert_repeat_s: LongSeconds = 21_600
    alert_email_to: str = ""
    alert_email_from: str = ""
    smtp_url: str | None = None
    alert_webhook_url: str | None = None
    alert_webhook_secret: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "console"

    def __repr__(self) -> str:
        shown = {name: _shown(name, getattr(self, name)) for name in self.__struct_fields__}
        return f"Settings({', '.join(f'{name}={value}' for name, value in shown.items())})"


TYPES: dict[str, Any] = get_type_hints(Settings, include_extras=True)


def load_settings(environ: Mapping[str, str], *, stored: bool = True) -> Settings:
    """The settings of this process.

    A name in the environment, or its `_FILE`, goes before the same name in `DATA_DIR/settings.env`.
    An empty value counts as none given. Without `SECRET_KEY`, `DATA_DIR/secret_key` is read. Nothing
    in `DATA_DIR` is looked at unless `stored`.

    Raises:
        ConfigurationError: with a line for every unknown name and every bad value.
    """
    problems: list[str] = []
    above = _layer(environ, "", problems)
    values = _convert(above, problems)
    if stored and ("data_dir" in values or "data_dir" not in above):
        below = _layer_below(values.get("data_dir", Path(".gateway")), above, problems)
        values |= _convert(below, problems)
    if not problems:
        settings = Settings(**values)
        problems.extend(_contradictions(settings))
    if problems:
        raise ConfigurationError(problems)
    return settings


def require_secret_key(settings: Settings) -> tuple[str, ...]:
    """The secrets, newest first.

    Raises:
        ConfigurationError: there is none.
    """
    if not settings.secret_key:
        raise ConfigurationError(
            [
                f"{PREFIX}SECRET_KEY is not set: give {SECRET_MIN_CHARACTERS} random characters or more,"
                f" in it, in the file {PREFIX}SECRET_KEY_FILE names or in {settings.data_dir / SECRET_KEY}"
            ]
        )
    return settings.secret_key


def _layer(source: Mapping[str, str], where: str, problems: list[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in sorted(key for key in source if key.startswith(PREFIX)):
        value, field = source[name], name.removeprefix(PREFIX).lower()
        if field in TYPES and value and name.isupper():
            texts[field] = value
        elif field.removesuffix("_file") in TYPES and name.isupper():
            field = field.removesuffix("_file")
            if value and source.get(PREFIX + field.upper()):
                problems.append(f"{PREFIX}{field.upper()} and {name} are both set{where}")
            elif value and (text := _read(Path(value), name, problems)):
                texts[field] = text
        else:
            problems.append(f"{name}{where} is not a setting{_likely(name)}")
    return texts


def _layer_below(data_dir: Path, above: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """What the data directory says of settings that `above` does not name."""
    texts = _layer(_read_settings_env(data_dir / SETTINGS_ENV, problems), f" in {SETTINGS_ENV}", problems)
    if texts.pop("data_dir", None):
        problems.append(f"{PREFIX}DATA_DIR cannot be set in {SETTINGS_ENV}, which lies in it")
    kept = data_dir / SECRET_KEY
    if "secret_key" not in {*above, *texts} and kept.exists() and (text := _read(kept, str(kept), problems)):
        texts["secret_key"] = text
    return {field: text for field, text in texts.items() if field not in above}


def _likely(name: str) -> str:
    found = difflib.get_close_matches(name.upper(), [PREFIX + field.upper() for field in TYPES], n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _read(path: Path, name: str, problems: list[str]) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        problems.append(f"{name}: cannot read {path}: {reason}")
        return ""


def _read_settings_env(path: Path, problems: list[str]) -> dict[str, str]:
    if not path.exists():
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(_read(path, SETTINGS_ENV, problems).splitlines(), 1):
        name, equals, value = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            words = ["", ""]
        if not equals or len(words) > 1 or not name.startswith(PREFIX):
            problems.append(f"{path}, line {number}: not {PREFIX}NAME=value")
            continue
        values[name] = words[0] if words else ""
    return values


def _convert(texts: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field, text in texts.items():
        try:
            values[field] = _value(field, text.strip())
        except ValueError as error:
            problems.append(f"{PREFIX}{field.upper()}: {error}")
    return values


def _value(field: str, text: str) -> Any:
    """Raises ValueError with words that never repeat the value, which may be a secret."""
    if field in READERS:
        return READERS[field](text)
    if field in ("log_level", "log_format"):
        text = text.lower()
    try:
        return msgspec.convert(text, TYPES[field], strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error).split(", got")[0].replace("Expected", "expected")) from None


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if settings.check_interval_min_s > settings.check_interval_max_s:
        problems.append(f"{PREFIX}CHECK_INTERVAL_MIN_S is above {PREFIX}CHECK_INTERVAL_MAX_S")
    if settings.send_timeout_s >= settings.send_lease_s:
        problems.append(f"{PREFIX}SEND_TIMEOUT_S must be below {PREFIX}SEND_LEASE_S")
    if settings.alert_email_to and not (settings.alert_email_from and settings.smtp_url):
        problems.append(f"{PREFIX}ALERT_EMAIL_TO needs {PREFIX}ALERT_EMAIL_FROM and {PREFIX}SMTP_URL")
    if settings.alert_webhook_url and not settings.alert_webhook_secret:
        problems.append(f"{PREFIX}ALERT_WEBHOOK_URL needs {PREFIX}ALERT_WEBHOOK_SECRET")
    return problems


def _shown(name: str, value: object) -> str:
    if name in ("secret_key", "alert_webhook_url", "alert_webhook_secret") and value:
        return "***"
    if name.endswith("_url") and isinstance(value, str):
        return re.sub(r"(://[^:/@\s]*:)\S+@", r"\1***@", value)
    return repr(value)
