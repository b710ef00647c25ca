"""What is written into `DATA_DIR`: its secret key and the settings of its servers, for their owner only."""

import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from gateway.settings import SECRET_KEY


def create_secret_key(data_dir: Path) -> str:
    """A new secret in `DATA_DIR/secret_key`, or the one already there; for the demo only."""
    path = data_dir / SECRET_KEY
    make_data_dir(data_dir)
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text("utf-8").strip()


def write_settings_env(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step, readable by its owner only; `values` by full `GATEWAY_` names."""
    for name, value in values.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"{name} holds a line break")
    make_data_dir(path.parent)
    _write_private(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))


def make_data_dir(data_dir: Path) -> None:
    """Make the folder if it is missing; one that is there keeps its mode.

    Made by root it can be passed through, but not listed, by the user the servers run as.
    """
    if not data_dir.is_dir():
        data_dir.mkdir(parents=True)
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _write_private(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
