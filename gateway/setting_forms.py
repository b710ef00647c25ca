"""The forms of settings that are more than a number or a word; none of the errors repeats a value."""

import functools
import ipaddress
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SECRET_MIN_CHARACTERS = 32
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d{0,5}))?", re.ASCII)
_EMAIL = r"[!-+\--;=?A-~]+@[A-Za-z0-9.-]+"
_SCHEMES = {
    "database_url": ("postgresql", "postgres"),
    "database_direct_url": ("postgresql", "postgres"),
    "redis_url": ("redis", "rediss", "redis+cluster"),
    "smtp_url": ("smtp", "smtps"),
    "alert_webhook_url": ("https", "http"),
}
_FORMS = {
    "currency": (r"[A-Z]{3}", "a currency of three capital letters"),
    "alert_email_to": (rf"{_EMAIL}(?:\s*,\s*{_EMAIL})*", "e-mail addresses with commas between"),
    "alert_email_from": (_EMAIL, "an e-mail address"),
    "alert_webhook_secret": (
        r"whsec_(?:[A-Za-z0-9+/]{4}){8,}(?:[A-Za-z0-9+/]{2,3}={0,2})?",
        "whsec_ and 24 bytes or more in base64",
    ),
}


def _matching(text: str, pattern: str, words: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"expected {words}")
    return text


def _url(text: str, schemes: Iterable[str]) -> str:
    pattern = rf"(?:{'|'.join(map(re.escape, schemes))})://\S+"
    words = " or ".join(f"{scheme}://" for scheme in schemes)
    _matching(text, pattern, f"an address that starts with {words}")
    hosts = re.split(r"[/?#]", text.partition("://")[2])[0].rpartition("@")[2].split(",")
    ports = [found[1] for host in hosts if (found := _HOST.fullmatch(host))]
    if len(ports) < len(hosts) or any(int(port or 0) > 65535 for port in ports):
        raise ValueError("expected HOST or HOST:PORT after the user and password, whose / ? # @ are written as %XX")
    return text


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("the ~ in it is of a user who has no home here") from None


def _secret_keys(text: str) -> tuple[str, ...]:
    keys = tuple(part for part in re.split(r"[,\s]+", text) if part)
    if not keys or any(len(key) < SECRET_MIN_CHARACTERS for key in keys):
        raise ValueError(f"expected {SECRET_MIN_CHARACTERS} characters or more in each secret")
    if len(set(keys)) < len(keys):
        raise ValueError("the same secret stands in it twice")
    return keys


def _bind(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected ADDRESS:PORT")
    return text


def _networks(text: str) -> str:
    """Not all addresses: where every peer is believed, every caller says himself where he is."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            network = ipaddress.ip_network(part)
        except ValueError:
            raise ValueError("expected addresses and networks without host bits (10.0.0.0/8)") from None
        if network.prefixlen == 0:
            raise ValueError("expected the proxies' own addresses, not every address there is")
    return text


def _delays(text: str) -> tuple[float, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,7}(\.\d{1,3})?", part, re.ASCII) for part in parts) or len(parts) > 50:
        raise ValueError("expected seconds with commas between, fifty at most")
    return tuple(float(part) for part in parts)


READERS: dict[str, Callable[[str], Any]] = {
    **{field: functools.partial(_url, schemes=schemes) for field, schemes in _SCHEMES.items()},
    **{field: functools.partial(_matching, pattern=form[0], words=form[1]) for field, form in _FORMS.items()},
    "secret_key": _secret_keys,
    "bind": _bind,
    "trusted_proxies": _networks,
    "data_dir": _folder,
    "webhook_retries_s": _delays,
}
"""By the field's name; each raises ValueError for what is not of its form."""
