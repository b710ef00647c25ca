"""`python -m benchmarks [NAME …]`: run them one after the other on servers of their own, and print tables."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from benchmarks import behind, causes, hanging, pages, serving, sync, webhooks, year
from benchmarks.measure import Table
from tests.support.servers import ServerUrls, start_test_servers

RESULTS = Path(__file__).with_name("results")
LATEST = "latest.json"
"""Of `requests`; the others' are named as they are."""
RUNS: dict[str, Any] = {
    "requests": serving,
    "causes": causes,
    "behind": behind,
    "webhooks": webhooks,
    "year": year,
}
"""Each has `run(options)`, whose `Options()` are of a whole run, `QUICK` and `SHORTEST` of shorter ones."""
TABLES: dict[str, Callable[[ServerUrls], Coroutine[Any, Any, Table]]] = {
    "sync": sync.measure,
    "hanging": hanging.measure,
}
PAGES = "pages"
NAMES = (*RUNS, *TABLES, PAGES)
USUAL = ("requests", "causes", "behind", "webhooks")
USUAL_SHORT = ("requests",)


class Found(Protocol):
    def show(self) -> None: ...

    def write(self, path: Path) -> None: ...


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios of one run, with their spread.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; {' '.join(USUAL)} by themselves")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="a minute or two: that it works, not how fast")
    length.add_argument("--shortest", action="store_true", help="seconds, with little of everything; for a test")
    parser.add_argument("--out", type=Path, help="where the JSON goes, with the plot beside it")
    given = parser.parse_args(words)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    is_short = given.quick or given.shortest
    for name in given.names or (USUAL_SHORT if is_short else USUAL):
        if name in RUNS:
            module = RUNS[name]
            options = module.SHORTEST if given.shortest else module.QUICK if given.quick else module.Options()
            found: Found = module.run(options)
            found.show()
            found.write(given.out or RESULTS / _file_of(name, is_short=is_short))
        elif name in TABLES:
            with start_test_servers() as urls:
                asyncio.run(TABLES[name](urls)).show(name)
    if not is_short and given.out is None:
        pages.write()
    return 0


def _file_of(name: str, *, is_short: bool) -> str:
    file = LATEST if name == "requests" else f"{name}.json"
    return f"quick.{file}" if is_short else file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
