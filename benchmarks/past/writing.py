"""A process of its own that writes the past to files, a folder a month, while the months before are loaded."""

import contextlib
import gc
import multiprocessing
import shutil
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import IO

import msgspec

from benchmarks.past.lines import TABLES
from benchmarks.past.model import Past
from benchmarks.past.story import Story

MONTHS_AHEAD = 2
"""That are written and not loaded yet, at most: what bounds the room on disk."""
END_S_MAX = 30.0


class End(msgspec.Struct, frozen=True):
    """How it all stands at the end; wallets as `(id, balance, hold, seq)`, the amounts in 10^-8."""

    placed: int
    refilled: int
    wallets: list[tuple[str, int, int, int]]


class Writer:
    """`months` are told once each is written; `end` is there behind the last."""

    def __init__(self, told: Connection, room: Semaphore, folder: Path) -> None:
        self._told, self._room, self._folder = told, room, folder
        self.end: End | None = None

    async def months(self) -> AsyncIterator[tuple[int, Path]]:
        """Place and folder of each, which is removed when the next one is asked for.

        Raises:
            EOFError: the process ended before its time.
        """
        while isinstance(place := await to_thread(self._told.recv), int):
            folder = self._folder / str(place)
            yield place, folder
            shutil.rmtree(folder)
            self._room.release()
        self.end = place


@contextlib.contextmanager
def writing(past: Past, folder: Path) -> Iterator[Writer]:
    """The process lives as long as the block."""
    context = multiprocessing.get_context("spawn")
    told, telling = context.Pipe(duplex=False)
    room = context.Semaphore(MONTHS_AHEAD)
    process = context.Process(target=_write, args=(past, folder, telling, room), daemon=True)
    process.start()
    telling.close()
    try:
        yield Writer(told, room, folder)
        process.join(END_S_MAX)
    finally:
        process.kill()
        process.join()


def _write(past: Past, folder: Path, telling: Connection, room: Semaphore) -> None:
    gc.disable()  # rows make no cycles, and millions of them are no garbage to be looked for
    story = Story(past)
    place = 0
    months = story.tell()
    while place < len(past.months):
        room.acquire()
        month = folder / str(place)
        month.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            files = {name: stack.enter_context((month / name).open("w")) for name in TABLES}
            _write_month(months, files)
        telling.send(place)
        place += 1
    wallets = [(each.id, each.balance, each.hold, each.seq) for each in story.wallets]
    telling.send(End(story.placed, story.refilled, wallets))


def _write_month(months: Iterator[tuple[int | None, dict[str, list[str]]]], files: dict[str, IO[str]]) -> None:
    for over, rows in months:
        for name, made in rows.items():
            files[name].write("".join(made))
        if over is not None:
            return
