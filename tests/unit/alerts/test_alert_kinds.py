"""Every kind of alert that any code raises is in the table of conditions and in the operators' guide."""

import importlib
import re
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from gateway.alerts.conditions.store import CONDITIONS
from gateway.orders.settlement import MESSAGES

PROJECT = Path(__file__).parents[3]
KINDS = [condition.kind for condition in CONDITIONS]


def test_what_is_raised_is_in_the_table_once() -> None:
    assert set(raised()) - set(KINDS) == set()
    assert len(KINDS) == len(set(KINDS))


def raised() -> Iterator[str]:
    """What each `Alert(…)` of the code names: as text, as a constant, or as a local name, of which the code has two."""
    local = 0
    for path in (PROJECT / "gateway").rglob("*.py"):
        for text, name in re.findall(r'(?<!class )\bAlert\(\s*(?:"(\w+)"|([\w.]+))', path.read_text()):
            if name == "kind":
                local += 1
            elif name:
                module = importlib.import_module(".".join(path.relative_to(PROJECT).with_suffix("").parts))
                yield attrgetter(name)(module)
            else:
                yield text
    yield from ("provider_funds", "route_paused", *MESSAGES)
    assert local == 2


def test_the_operators_guide_has_every_kind() -> None:
    guide = (PROJECT / "docs/operations.md").read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", "".join(rows))) == sorted(KINDS)
