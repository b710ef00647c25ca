"""The types that can be asked for are those that are sent."""

import re
from pathlib import Path

from gateway.orders.refills.model import State
from gateway.webhooks.model import TYPES

ROOT = Path(__file__).parents[3]
NAME = re.compile(r"""["'](?:order|refill|balance|key|webhook)\.[a-z]+["']""")


def test_every_type_that_is_written_can_be_asked_for_and_the_other_way_round() -> None:
    sources = [path for path in (ROOT / "gateway").rglob("*.py") if path != ROOT / "gateway/webhooks/model.py"]
    written = {name.strip("\"'") for path in sources for name in NAME.findall(path.read_text(encoding="utf-8"))}
    ended = {f"refill.{state}" for state in (State.COMPLETED, State.REJECTED)}
    changes = {f"service.{kind}" for kind in ("new", "price", "limits", "off", "on")}
    assert written | ended | changes == set(TYPES)


def test_every_type_is_told_of_in_the_guide() -> None:
    guide = (ROOT / "docs/webhooks.md").read_text(encoding="utf-8")
    for line in (line for line in guide.splitlines() if line.startswith("| `")):
        prefix = line[3:].partition(".")[0]
        guide += "".join(f" `{prefix}{name}`" for name in re.findall(r"`(\.[a-z]+)`", line.split("|")[1]))
    assert [name for name in TYPES if f"`{name}`" not in guide] == []
