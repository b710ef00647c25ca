"""Every rule of the protocol is held by a capture or a test that exists."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
RULE = re.compile(r"^(?:\| |- \*\*|\*\*)(\d\.\d+)(?: \||\*\*)", re.MULTILINE)
ROW = re.compile(r"^\| (\d\.\d+) \| (.*) \|$", re.MULTILINE)

RULES = RULE.findall((PROJECT / "docs/protocol.md").read_text())
HELD = dict(ROW.findall((PROJECT / "docs/protocol-coverage.md").read_text()))


def exists(reference: str) -> bool:
    path, _, name = reference.partition("::")
    files = list(PROJECT.glob(path))
    if not name:
        return bool(files)
    return any(re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE) for file in files)


def test_every_rule_has_a_number_and_a_row() -> None:
    assert len(RULES) == len(set(RULES)) > 50
    assert list(HELD) == RULES


def test_every_row_names_what_exists() -> None:
    missing = {
        row: reference
        for row, held in HELD.items()
        for reference in re.findall(r"`([^`]+)`", held) or ["nothing"]
        if not exists(reference)
    }
    assert missing == {}


def test_every_kind_has_captures() -> None:
    kinds = PROJECT.glob("tests/compat/captures/server/kind-*.json")
    assert len({path.stem.partition("-without-")[0] for path in kinds}) >= 16


def test_every_rule_of_the_specification_is_numbered() -> None:
    """A table row, a bullet or a rule in prose that has no number would be held by nothing."""
    text = (PROJECT / "docs/protocol.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| row", "| ---"))]
    bullets = [line for line in text.splitlines() if line.startswith("- ")]
    assert [line for line in (*rows, *bullets) if not RULE.match(line)] == []
