"""`python -m benchmarks [NAME …]`: run them one after the other on servers of their own, and print tables."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks import hanging, serving, sync, webhooks, year
from benchmarks.measure import Table
from tests.support.servers import ServerUrls, start_test_servers

RESULTS = Path(__file__).with_name("results")
REQUESTS = "requests"
WEBHOOKS = "webhooks"
YEAR = "year"
TABLES: dict[str, Callable[[ServerUrls], Coroutine[Any, Any, Table]]] = {
    "sync": sync.measure,
    "hanging": hanging.measure,
}
NAMES = (REQUESTS, WEBHOOKS, YEAR, *TABLES)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios of one run, with their spread.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="two minutes: that it works, not how fast")
    length.add_argument("--shortest", action="store_true", help="seconds, with little of everything; for a test")
    parser.add_argument("--out", type=Path, help="where the JSON goes, with the plot beside it")
    given = parser.parse_args(words)
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    is_short = given.quick or given.shortest
    for name in given.names or ([REQUESTS] if is_short else [REQUESTS, WEBHOOKS]):
        if name == WEBHOOKS:
            webhooks.run().show(name)
        elif name == REQUESTS:
            _run_requests(given.quick, given.shortest, given.out)
        elif name == YEAR:
            _run_year(given.quick, given.shortest, given.out)
        else:
            with start_test_servers() as urls:
                asyncio.run(TABLES[name](urls)).show(name)
    return 0


def _run_requests(quick: bool, shortest: bool, out: Path | None) -> None:
    options = serving.SHORTEST if shortest else serving.QUICK if quick else serving.Options()
    report = serving.run(options)
    report.show()
    report.write(out or RESULTS / ("latest.json" if options == serving.Options() else "quick.json"))


def _run_year(quick: bool, shortest: bool, out: Path | None) -> None:
    options = year.SHORTEST if shortest else year.QUICK if quick else year.Options()
    report = year.run(options)
    report.show()
    report.write(out or RESULTS / ("year.json" if options == year.Options() else "year-quick.json"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
