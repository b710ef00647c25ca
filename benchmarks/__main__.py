"""`python -m benchmarks [NAME …]`: run them one after the other on servers of their own, and print tables."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks import behind, hanging, serving, sync, webhooks
from benchmarks.measure import Table
from tests.support.servers import ServerUrls, start_test_servers

RESULTS = Path(__file__).with_name("results")
REQUESTS = "requests"
WEBHOOKS = "webhooks"
BEHIND = "behind"
TABLES: dict[str, Callable[[ServerUrls], Coroutine[Any, Any, Table]]] = {
    "sync": sync.measure,
    "hanging": hanging.measure,
}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios of one run, with their spread.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join((REQUESTS, WEBHOOKS, BEHIND, *TABLES)))
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="two minutes: that it works, not how fast")
    length.add_argument("--shortest", action="store_true", help="seconds, with little of everything; for a test")
    parser.add_argument("--out", type=Path, help="where the JSON goes, with the plot beside it")
    given = parser.parse_args(words)
    unknown = [name for name in given.names if name not in (REQUESTS, WEBHOOKS, BEHIND, *TABLES)]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join((REQUESTS, WEBHOOKS, BEHIND, *TABLES))}")
    is_short = given.quick or given.shortest
    for name in given.names or ([REQUESTS] if is_short else [REQUESTS, WEBHOOKS]):
        if name == WEBHOOKS:
            webhooks.run().show(name)
        elif name == REQUESTS:
            _run_requests(given.quick, given.shortest, given.out)
        elif name == BEHIND:
            _run_behind(given.quick, given.shortest, given.out)
        else:
            with start_test_servers() as urls:
                asyncio.run(TABLES[name](urls)).show(name)
    return 0


def _run_requests(quick: bool, shortest: bool, out: Path | None) -> None:
    options = serving.SHORTEST if shortest else serving.QUICK if quick else serving.Options()
    report = serving.run(options)
    report.show()
    report.write(out or RESULTS / ("latest.json" if options == serving.Options() else "quick.json"))


def _run_behind(quick: bool, shortest: bool, out: Path | None) -> None:
    options = behind.SHORTEST if shortest else behind.QUICK if quick else behind.Options()
    found = behind.run(options)
    found.show()
    found.write(out or RESULTS / ("behind.json" if options == behind.Options() else "quick.behind.json"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
