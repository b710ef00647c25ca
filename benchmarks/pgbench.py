"""The floor F3: pgbench, from the wheel of PostgreSQL, places orders by one prepared function call each."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from benchmarks.contenders import Sample
from benchmarks.cores import Cores, pin, usage
from benchmarks.stock import QUANTITY, Stock
from gateway.embedded.binaries import find_postgres_binaries
from gateway.orders.model import price_of

SCRIPT = Path(__file__).with_name("placement.sql")
CLIENTS = 32
ORDERS_LEAST = 5


async def prepare(url: str, stock: Stock) -> None:
    """The function, and whom it buys for: the crowd from 1, the one with the hot wallet as 0."""
    buyers = [stock.pgbench_hot, *stock.pgbench_crowd]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SCRIPT.read_text())
        await connection.copy_records_to_table(
            "bench_buyers",
            records=[
                (n, buyer.account.wallet_id, buyer.account.user_id, buyer.account.key_id)
                for n, buyer in enumerate(buyers)
            ],
        )
    finally:
        await connection.close()


class Pgbench:
    """A contender of which each transaction is an order. It has the core that an API process has."""

    places = True

    def __init__(self, name: str, url: str, cores: Cores, stock: Stock, folder: Path, *, hot: bool) -> None:
        self.name, self._url, self._cores = name, url, cores
        self.placed = 0
        self._script = folder / f"{name}.pgbench"
        buyer = "0" if hot else f"random(1, {len(stock.pgbench_crowd)})"
        price = price_of(stock.service.rate, QUANTITY, package=False)
        self._script.write_text(
            f"\\set buyer {buyer}\n"
            f"SELECT bench_place(:buyer, '{stock.service.id}', '{stock.service.provider_id}', {price}, {QUANTITY});\n"
        )

    async def sample(self, seconds: float) -> Sample:
        """Of whole seconds, since pgbench knows no others; where less is wanted, of a few orders a client."""
        length = ["-T", str(max(1, round(seconds)))] if seconds >= 0.5 else ["-t", str(ORDERS_LEAST)]
        options = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1", *length]
        before = usage(os.getpid(), self._cores.all)
        process = await asyncio.create_subprocess_exec(
            find_postgres_binaries() / "pgbench",
            *options,
            *("-f", self._script),
            env={**os.environ, **_environment(self._url)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        pin(process.pid, self._cores.api)
        out, err = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"pgbench failed: {err.decode()}")
        self.placed += int(_find(r"actually processed: (\d+)", out))
        _, strangers = usage(os.getpid(), self._cores.all).since(before)
        return Sample(rate=float(_find(r"tps = ([\d.]+)", out)), strangers=strangers)


def _environment(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
        "PGOPTIONS": "-c role=gateway_service",
    }


def _find(pattern: str, out: bytes) -> str:
    found = re.search(pattern, out.decode())
    if found is None:
        raise RuntimeError(f"pgbench said nothing of {pattern}: {out.decode()}")
    return found[1]
