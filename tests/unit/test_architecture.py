"""The documents say what is so: files, folders, import order, settings and transitions."""

import itertools
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from compat.status import UpstreamStatus
from gateway.orders.model import Dispatch, Order, Status, decide
from gateway.orders.triggers import (
    CancelWanted,
    Claimed,
    GaveUp,
    QueuedTooLong,
    Reported,
    Trigger,
    WasAccepted,
    WasNotPlaced,
    WasNotSent,
    WasRefused,
    WentUnknown,
)
from gateway.settings import Settings
from tests.support.commands import every_noun

PROJECT = Path(__file__).parents[2]
ARCHITECTURE = (PROJECT / "docs/ARCHITECTURE.md").read_text()
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md"))]
NAMED_PATH = re.compile(r"`((?:gateway|compat|migrations|tests|docs)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def section(title: str) -> str:
    return ARCHITECTURE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    missing = [name for name in NAMED_PATH.findall(text) if not (PROJECT / name).exists()]
    missing += [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    assert missing == []


def test_the_eight_steps_are_numbered_and_each_has_a_file_of_its_own() -> None:
    steps = re.split(r"^(\d+)\. ", section("The eight steps"), flags=re.MULTILINE)[1:]
    files = [NAMED_PATH.findall(text)[0] for text in steps[1::2]]
    assert steps[::2] == [str(number) for number in range(1, 9)]
    assert all(file.endswith(".py") for file in files)
    assert len(set(files)) == 8


def test_the_table_of_folders_has_every_folder() -> None:
    told = set(NAMED_PATH.findall(section("Folders")))
    folders = {
        f"{path.parent.relative_to(PROJECT)}/"
        for package in ("gateway", "compat")
        for path in (PROJECT / package).rglob("__init__.py")
    }
    assert folders - told == {"gateway/"}


def test_the_import_order_in_the_document_is_the_one_that_is_enforced() -> None:
    told = section("Imports").split("```")[1].split("\n")[1:-1]
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["type"] == "layers")
    assert layers["exhaustive"]
    assert ["__main__", *told] == layers["layers"]
    assert not any("ignore_imports" in contract for contract in contracts)


def test_sql_is_written_in_stores_and_in_db_alone() -> None:
    statement = re.compile(r"\b(SELECT .* FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b", re.DOTALL)
    elsewhere = [
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "gateway").rglob("*.py")
        if path.name != "store.py" and "db" not in path.parts and statement.search(path.read_text())
    ]
    assert elsewhere == ["gateway/ledger/verify.py"], "the proof of the books is SQL from end to end"


def test_the_settings_of_the_operations_guide_are_all_there_are() -> None:
    text = (PROJECT / "docs/operations.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `GATEWAY_")]
    told = re.findall(r"`GATEWAY_(\w+)`", "".join(rows))
    assert sorted(told) == sorted(name.upper() for name in Settings.__struct_fields__)


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_every_command_that_a_document_shows_exists(document: str) -> None:
    shown = re.findall(
        r"(?:^    |`)(?:GATEWAY_\S+ )?gateway ([a-z]+)(?: ([a-z]+)\b)?", (PROJECT / document).read_text(), re.M
    )
    assert shown
    for noun, verb in shown:
        command: Any = every_noun()[noun]
        assert not verb or not hasattr(command, "commands") or verb in command.commands


TRIGGERS: tuple[Trigger, ...] = (
    CancelWanted(),
    Claimed(),
    WasNotSent(),
    WasAccepted("7"),
    WasRefused(requeue=True),
    WasRefused(requeue=False),
    WentUnknown(),
    QueuedTooLong(),
    WasNotPlaced(),
    GaveUp(),
    Reported("?", None),
    *(
        Reported(status.value, status, remains=remains)
        for status, remains in itertools.product(UpstreamStatus, (None, 0, 4, 10))
    ),
)


def orders() -> Iterator[Order]:
    order = Order(
        id=UUID(int=1),
        number=100_001,
        user_id=UUID(int=2),
        service_id=UUID(int=3),
        provider_id=UUID(int=4),
        external_order_id=None,
        link="https://example.com/p/1",
        quantity=10,
        price=Decimal(1),
        currency="USD",
        charge=Decimal(1),
        status=Status.PENDING,
        dispatch=Dispatch.QUEUED,
        upstream_status=None,
        start_count=None,
        remains=None,
        details={},
    )
    for status, dispatch in itertools.product(Status, Dispatch):
        yield msgspec.structs.replace(order, status=status, dispatch=dispatch)


ROWS_OF_NO_TRIGGER = {"0": "placement", "21": "refills, of which the order's own row knows nothing"}


def test_the_rows_of_the_document_are_the_rows_of_the_table() -> None:
    text = (PROJECT / "docs/states.md").read_text()
    told = re.findall(r"^\| (\d+a?) \|", text, re.MULTILINE)
    decided = {
        transition.row
        for order, trigger in itertools.product(orders(), TRIGGERS)
        if (transition := decide(order, trigger)) is not None
    }
    assert len(told) == len(set(told))
    assert set(told) == decided | ROWS_OF_NO_TRIGGER.keys()
