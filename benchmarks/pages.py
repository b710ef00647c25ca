"""docs/performance.md, made of the results that the benchmarks left: `make bench ARGS=pages`."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.behind_report import NAMES as BEHIND
from benchmarks.report import NAMES, short
from benchmarks.sizes import ESTIMATED, GB

RESULTS = Path(__file__).with_name("results")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BY_HAND = Path(__file__).with_name("tried.md")
SLOWEST_SHOWN = 5
REQUESTS_SHOWN = (
    *("form", "asgi", "fastapi", "status", "status_100", "add", "add_hot_wallet", "services", "wrong_key"),
    *("new_wrong_key", "limit_reached", "no_funds", "add_open"),
)

HOW = """Made by `make bench` and `make bench ARGS=year`; each part is one run on real PostgreSQL and Valkey, fsync on,
what is measured on one core, load and servers on the other, subject and floor in turn. What counts are the ratios:
machines differ, and have company."""

WHY_LARGER = """An order has twice the columns that the document gives it
([5](decisions/0005-what-was-added-to-the-source-schema.md)), and small tables have pages that are not full."""

Found = dict[str, Any]


def write() -> None:
    """Write the page anew; a benchmark that has left nothing is named as not run."""
    PAGE.write_text(compose(), encoding="utf-8")


def compose(results: Path = RESULTS) -> str:
    parts: list[tuple[str, str, Callable[[Found], Iterable[str]]]] = [
        ("latest", "Requests, one API process", _requests),
        ("causes", "Where the time of a request goes", _causes),
        ("behind", "Behind the API, one worker process", _behind),
        ("webhooks", "Webhooks, one worker process", _table),
        ("year", "A year of orders", _year),
    ]
    lines = ["# Performance", "", HOW]
    for name, title, told in parts:
        path = results / f"{name}.json"
        lines += ["", f"## {title}", ""]
        if path.exists():
            found: Found = msgspec.json.decode(path.read_bytes())
            lines += [*told(found), "", _provenance(found)]
        else:
            lines.append(f"Not run: `make bench ARGS={'requests' if name == 'latest' else name}`.")
    return "\n".join([*lines, "", BY_HAND.read_text(encoding="utf-8").strip(), ""])


def _requests(found: Found) -> Iterable[str]:
    yield f"{found['options']['connections']} clients, each with its next request as soon as it has its answer."
    yield ""
    rows = []
    for name in REQUESTS_SHOWN:
        each = found["figures"][name]
        other = (short(each[field]) for field in ("p50_ms", "p99_ms", "cost_us"))
        rows.append([NAMES[name], short(each["a_second"]), _spread(each), *other])
    yield from _rows(["", "a second", "spread", "p50 ms", "p99 ms", "µs of its processor"], rows)
    yield ""
    yield from _goals(found, found["ratios_by_cost"])
    yield ""
    yield "![Requests a second](../benchmarks/results/latest.svg)"
    orders = found["orders"]
    yield ""
    yield f"{orders['in_database']} orders, as many as answers promised; `ledger verify`: {orders['ledger_verify']}."


def _causes(found: Found) -> Iterable[str]:
    costs: Found = found["costs"]
    parts = list(next(iter(costs.values()))["parts_us"])
    rows = [[part, *(short(cost["parts_us"][part]) for cost in costs.values())] for part in parts]
    rows.append(["in all", *(short(cost["total_us"]) for cost in costs.values())])
    rows.append(["F1 beside it, of that", *(short(cost["of_floor"]) for cost in costs.values())])
    yield from _rows(["µs of the API process", *(f"`{name}`" for name in costs)], rows)
    yield ""
    figures = [
        [name, short(each["median"]), _spread(each), f"≤ {short(each['goal'])}"]
        for name, each in found["figures"].items()
    ]
    yield from _rows(["", "median", "spread", "goal"], figures)


def _behind(found: Found) -> Iterable[str]:
    rows = [
        [
            _with_unit(BEHIND[name][0], each["unit"]),
            short(each["median"]),
            _spread(each),
            _goal(found["goals"].get(name)),
        ]
        for name, each in found["figures"].items()
    ]
    yield from _rows(["", "median", "spread", "goal"], rows)
    yield ""
    orders = found["orders"]
    yield f"{orders['proved']} orders, each sent once and here as its upstream said; {orders['ledger_verify']}."


def _table(found: Found) -> Iterable[str]:
    rows = [[_with_unit(each["what"], each["unit"]), short(each["median"]), _spread(each)] for each in found["rows"]]
    yield from _rows(["", "median", "spread"], rows)
    yield ""
    yield " ".join(found["notes"])


def _year(found: Found) -> Iterable[str]:
    yield from _goals(found, {})
    yield ""
    slowest = sorted(found["lists"], key=lambda each: -each["p99_ms"])[:SLOWEST_SHOWN]
    lists = f"{len(found['lists'])} lists, searches and filters"
    yield f"{lists}, one client alone, a statement until it begins; the slowest:"
    yield ""
    yield from _rows(
        ["", "p50 ms", "p99 ms"], [[each["shape"], short(each["p50_ms"]), short(each["p99_ms"])] for each in slowest]
    )
    yield ""
    tables = [each for each in found["tables"] if each["of_estimate"] is not None]
    rows = [
        [
            f"`{each['name']}`",
            short(each["rows"]),
            short(each["row_bytes"]),
            short(each["of_estimate"]),
            short(each["indexes"] / 1e6),
        ]
        for each in tables
    ]
    yield from _rows(["", "rows", "bytes a row", "of the document's estimate", "indexes, MB"], rows)
    yield ""
    size, estimated = sum(each["heap"] + each["toast"] for each in tables), sum(size for _, size in ESTIMATED.values())
    yield f"Without indexes these are {size / GB:.2f} GB, estimated {estimated / GB:.2f} GB. {WHY_LARGER}"
    yield ""
    counts = (f"{there} orders in the {name} database" for name, (there, _) in found["orders"].items())
    yield f"{', '.join(counts)}, as many as were loaded or promised; in both {found['ledger_verify']['full']}."


def _goals(found: Found, by_cost: dict[str, float]) -> Iterable[str]:
    rows = []
    for name, each in found["goals"].items():
        least, most = found["spread"].get(name, (None, None))
        spread = "" if least is None else f"{short(least)}–{short(most)}"
        is_met = "met" if each["met"] else "missed"
        rows.append([f"`{name}`", short(each["value"]), spread, short(by_cost.get(name)), each["goal"], is_met])
    yield from _rows(["goal", "found", "spread", "by processor time", "wanted", ""], rows)


def _with_unit(what: str, unit: str) -> str:
    return f"{what}, {unit}" if unit else what


def _spread(each: Found) -> str:
    return f"{short(each['least'])}–{short(each['most'])}"


def _goal(goal: Found | None) -> str:
    return "" if goal is None else f"{short(goal['goal'])}, {'met' if goal['met'] else 'missed'}"


def _provenance(found: Found) -> str:
    machine = found.get("machine", {})
    said = [f"Commit `{found.get('commit', '')[:12]}`", machine.get("processor", ""), machine.get("cores", "")]
    if "sync_ms" in machine:
        said.append(f"a sync of the disk {machine['sync_ms']:.2g} ms")
    if "disturbed" in found:
        said.append(f"strangers on the same cores took up to {found['disturbed']['most_strangers']:.2f} of one")
    return "; ".join(each for each in said if each) + "."


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
