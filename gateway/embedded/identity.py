"""Whom the servers run as: PostgreSQL refuses to run as root."""

import contextlib
import os
import pwd
import subprocess
from pathlib import Path

from gateway.errors import ConfigurationError
from gateway.processes import Identity, spawn

_NOBODY = 65534
_PROBE_S = 20.0


def choose_identity(folder: Path, program: Path) -> Identity:
    """The identity that owns `folder`, which is made for the first that works.

    The choice is kept as the folder's owner: root stands for the user namespace, any other user
    for that user. An ordinary user runs the servers as itself.

    Raises:
        ConfigurationError: none works, or the folder belongs to another user.
    """
    if os.geteuid() != 0:
        return _as_ordinary_user(folder)
    if folder.exists():
        identity = _identity_of(folder)
        if _works(identity, folder, program):
            return identity
        raise _neither(folder, program)
    folder.mkdir(mode=0o700)
    for identity in (_nobody(), Identity(namespace=True)):
        with contextlib.suppress(OSError):
            hand_over(folder, identity)
            if _works(identity, folder, program):
                return identity
    folder.rmdir()
    raise _neither(folder, program)


def hand_over(path: Path, identity: Identity) -> None:
    """Make the path the identity's own; in a namespace the parent's files already are."""
    if identity.uid is not None and identity.gid is not None:
        os.chown(path, identity.uid, identity.gid)
    elif identity.namespace:
        os.chown(path, 0, 0)


def _as_ordinary_user(folder: Path) -> Identity:
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        raise ConfigurationError(
            [
                f"{folder} belongs to user {folder.stat().st_uid}: "
                "run as the user who made it, or give another GATEWAY_DATA_DIR"
            ]
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    return Identity()


def _identity_of(folder: Path) -> Identity:
    status = folder.stat()
    return Identity(namespace=True) if status.st_uid == 0 else Identity(status.st_uid, status.st_gid)


def _nobody() -> Identity:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Identity(_NOBODY, _NOBODY)
    return Identity(entry.pw_uid, entry.pw_gid)


def _works(identity: Identity, folder: Path, program: Path) -> bool:
    """Whether the identity can enter the folder and run the program."""
    probe = spawn(
        [program, "--version"],
        identity=identity,
        directory=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return probe.wait(_PROBE_S) == 0


def _neither(folder: Path, program: Path) -> ConfigurationError:
    return ConfigurationError(
        [
            f"root cannot run the embedded servers here: 'nobody' cannot enter {folder} or run {program},"
            " and user namespaces are not allowed; move both to folders that everyone can enter"
            " (such as /srv), or run as an ordinary user"
        ]
    )
