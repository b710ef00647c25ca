"""The append-only logs of what the simulator accepted: the truth that tests compare with."""

import os
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import msgspec

Row = TypeVar("Row", bound=msgspec.Struct)


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One accepted `add`. `at` is in seconds of the simulator's clock; `charge` is plain digits."""

    order: int
    service: str
    fields: dict[str, str]
    at: float
    quantity: int
    charge: str
    idempotency_key: str | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One accepted cancel, or a refill where it has the number of one. `at` is as in `Acceptance`."""

    order: int
    at: float
    refill: int | None = None


class AcceptLog:
    """The adds, one a line, and in a file beside theirs the cancels and refills; without a path it keeps nothing.

    Whoever counts the lines of the first counts orders and nothing else.
    """

    def __init__(self, path: Path | None) -> None:
        self._adds = _Lines(path, Acceptance)
        self._asked = _Lines(path and path.with_name(f"{path.name}.asked"), Asked)
        self.recovered = self._adds.recovered
        self.recovered_asked = self._asked.recovered

    def append(self, accepted: Acceptance) -> None:
        self._adds.append(accepted)

    def append_asked(self, asked: Asked) -> None:
        self._asked.append(asked)

    def close(self) -> None:
        self._adds.close()
        self._asked.close()


class _Lines(Generic[Row]):
    """One JSON line a row, on the disk before `append` returns."""

    def __init__(self, path: Path | None, row: type[Row]) -> None:
        self._file: BinaryIO | None = None
        self.recovered: list[Row] = []
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self.recovered = _recover(self._file, row)

    def append(self, row: Row) -> None:
        if self._file is None:
            return
        self._file.write(msgspec.json.encode(row) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _recover(file: BinaryIO, row: type[Row]) -> list[Row]:
    """The whole lines; the torn one that a crash may leave was never answered and is cut off."""
    file.seek(0)
    lines = file.read()
    whole = lines.rfind(b"\n") + 1
    if whole < len(lines):
        file.truncate(whole)
    decoder = msgspec.json.Decoder(row)
    return [decoder.decode(line) for line in lines[:whole].splitlines()]
