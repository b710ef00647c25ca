"""The append-only log of every order that the simulator accepted: the truth that tests compare with."""

import os
from pathlib import Path
from typing import BinaryIO

import msgspec


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One accepted `add`. `at` is in seconds of the simulator's clock; `charge` is plain digits."""

    order: int
    service: str
    fields: dict[str, str]
    at: float
    quantity: int
    charge: str
    idempotency_key: str | None = None


class AcceptLog:
    """One JSON line an order, on the disk before `append` returns; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None
        self.recovered: list[Acceptance] = []
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self.recovered = _recover(self._file)

    def append(self, accepted: Acceptance) -> None:
        if self._file is None:
            return
        self._file.write(msgspec.json.encode(accepted) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _recover(file: BinaryIO) -> list[Acceptance]:
    """The whole lines; the torn one that a crash may leave was never answered and is cut off."""
    file.seek(0)
    lines = file.read()
    whole = lines.rfind(b"\n") + 1
    if whole < len(lines):
        file.truncate(whole)
    decoder = msgspec.json.Decoder(Acceptance)
    return [decoder.decode(line) for line in lines[:whole].splitlines()]
