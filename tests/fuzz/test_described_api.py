"""What the native API says of itself is so: schemathesis with all its checks, for both roles, on a real server.

`FUZZ_EXAMPLES` says how many requests of each operation (10), `FUZZ_SEED` which ones. Besides, each bound that the
description names is always tried. Half of the ids that are asked for are real ones.
"""

import asyncio
import itertools
import json
import os
import re
import sys
from pathlib import Path

import pytest

from gateway.api.v1.router import OPERATIONS
from gateway.db.engine import Database
from tests.support.accounts import assert_ledger_is_clean
from tests.support.described import described
from tests.support.stock import Known, known_to

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
REAL = 0.5
"""Of ids, that they are real."""
FOLDER = Path(__file__).parent
CHARACTERS = FOLDER.parents[1] / ".hypothesis"
"""Where Hypothesis keeps its tables of Unicode; in a folder of its own a run makes them, which takes a second."""
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


PARTS = {
    "resellers": "^/v1/(?!admin/)",
    "people": "^/v1/admin/(users|keys|tiers|wallets|audit|orders)",
    "catalogue": "^/v1/admin/(?!users|keys|tiers|wallets|audit|orders)",
}
"""Of the description, by their paths; what one part makes, its own operations take."""


def test_every_operation_is_of_one_part() -> None:
    for each in OPERATIONS:
        assert sum(re.match(paths, each.path) is not None for paths in PARTS.values()) == 1, each.path


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", PARTS)
async def test_the_description_is_true(
    db: Database, database_url: str, redis_url: str, part: str, tmp_path: Path
) -> None:
    async with described(db, database_url, redis_url) as server:
        client = server.reseller if part == "resellers" else server.admin
        me = (await client("GET", "/v1/account")).json()
        known = await known_to(client, [each for each in OPERATIONS if re.match(PARTS[part], each.path)])
        config = tmp_path / "schemathesis.toml"
        config.write_text(_config(known))
        process = await asyncio.create_subprocess_exec(
            str(SCHEMATHESIS), "--config-file", str(config), "run", f"{server.url}/schema/openapi.json",
            "--header", f"Authorization: Bearer {client.key}",
            "--include-path-regex", PARTS[part],
            "--checks", "all", "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--no-color",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
            env=os.environ
            | {"HYPOTHESIS_STORAGE_DIRECTORY": str(CHARACTERS), "FUZZ_OWN": f"{me['user_id']} {me['key_id']}"},
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()[-20_000:]
        assert (await client("GET", "/v1/account")).status == 200, (
            "it took its own key away, and found nothing from then on"
        )
    await assert_ledger_is_clean(db)


def _config(known: Known) -> str:
    """The settings beside this file, with our own check, and with ids that there are: in paths, and in bodies."""
    numbers = {name: [int(value) for value in values if value.isdigit()] for name, values in known.items()}
    lines = [f"hooks = {json.dumps(str(FOLDER / 'checks.py'))}"]
    for name, values in known.items():
        lines.append(f"dictionaries.path_{name}.values = {json.dumps(values)}")
        lines.append(f"dictionaries.body_{name}.values = {json.dumps(numbers[name] or values)}")
    lines += [(FOLDER / "schemathesis.toml").read_text(), "[parameters]"]
    for place, name in itertools.product(("path", "body"), known):
        lines.append(f'"{place}.{name}" = {{ dictionary = "{place}_{name}", probability = {REAL} }}')
    return "\n".join(lines)
