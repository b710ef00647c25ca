"""`python -m benchmarks [NAME …]`: run them one after the other on servers of their own, and print tables."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks import hanging, sync
from benchmarks.measure import Table
from tests.support.servers import ServerUrls, start_test_servers

BENCHMARKS: dict[str, Callable[[ServerUrls], Coroutine[Any, Any, Table]]] = {
    "sync": sync.measure,
    "hanging": hanging.measure,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    with start_test_servers() as urls:
        for name in names or BENCHMARKS:
            asyncio.run(BENCHMARKS[name](urls)).show(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
