"""What the native API says of itself is so: schemathesis with all its checks, for both roles, on a real server."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gateway.db.engine import Database
from tests.support.accounts import assert_ledger_is_clean
from tests.support.described import described

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
"""An operation; besides, what covers each bound of the description is always tried."""
CONFIG = Path(__file__).with_name("schemathesis.toml")
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ["reseller", "admin"])
async def test_the_description_is_true(
    db: Database, database_url: str, redis_url: str, role: str, tmp_path: Path
) -> None:
    async with described(db, database_url, redis_url) as server:
        key = server.reseller if role == "reseller" else server.admin
        which = (
            ["--exclude-path-regex", "^/v1/admin/"] if role == "reseller" else ["--include-path-regex", "^/v1/admin/"]
        )
        process = await asyncio.create_subprocess_exec(
            str(SCHEMATHESIS), "--config-file", str(CONFIG), "run", f"{server.url}/schema/openapi.json",
            "--header", f"Authorization: Bearer {key}", *which, "--checks", "all", "--max-examples", str(EXAMPLES),
            "--seed", "1", "--no-color", "--report", "junit", "--report-dir", str(tmp_path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
        )  # fmt: skip
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-20_000:]
    await assert_ledger_is_clean(db)
