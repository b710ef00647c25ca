"""The page at `GET /api`, and its clients, taken from the page and run as they stand."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from compat.kinds import RULES
from gateway.db.engine import Database
from tests.support.accounts import add_provider, add_reseller
from tests.support.processes import Installation, answering, running_processes

RUNS: dict[str, tuple[str, list[str]]] = {
    "PHP": ("panel.php", ["php"]),
    "Python": ("panel.py", [sys.executable]),
    "JavaScript": ("panel.mjs", ["node"]),
    "curl": ("panel.sh", ["bash"]),
}
CALLS = {
    "Python": 'print(json.dumps(panel.add({service}, link="https://example.com/p/1", quantity=100)))',
    "curl": "panel add service={service} link=https://example.com/p/1 quantity=100",
}
"""What a reader adds to the end of a client to place an order."""


def clients_of(page: str) -> dict[str, str]:
    """Each program of the page as a reader copies it, by what it begins with."""
    blocks = [
        html.unescape(re.sub(r"<[^>]+>", "", block)) for block in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.S)
    ]
    marks = {"PHP": "<?php", "Python": "import json", "JavaScript": "fetch(", "curl": "#!/usr/bin/env bash"}
    return {
        language: next(block for block in blocks if mark in block and "YOUR_KEY" in block)
        for language, mark in marks.items()
    }


async def test_the_page_tells_everything_and_its_clients_run(
    tmp_path: Path, db: Database, database_url: str, redis_url: str, subtests: pytest.Subtests
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url)
        api = gateway.begin_serving()
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key, markup="0")
        key = (await add_reseller(db, gateway.keyring, "10")).key
        url = answering(api).url
        base = url.removesuffix("/v2")
        page = read_page(base)
        check_page(page, url)
        check_other_requests(base, key)
        for language, program in clients_of(page.text).items():
            with subtests.test(msg=language):
                name, words = RUNS[language]
                if shutil.which(words[0]) is None:
                    pytest.skip(f"{words[0]} is not installed")
                more = CALLS.get(language, "").format(service=1)
                path = tmp_path / name
                path.write_text(f"{program.replace('YOUR_KEY', key)}\n{more}\n")
                said = run([*words, str(path)])
                assert "USD" in said
                assert not more or '"order"' in said
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM orders") == len(CALLS)


def read_page(base: str) -> requests.Response:
    return requests.get(base, timeout=10)


def run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_page(reply: requests.Response, url: str) -> None:
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    page = html.unescape(reply.text)
    assert page.count(url) >= 4
    for kind, rule in RULES.items():
        assert kind.value in page
        assert all(field in page for field in (*rule.fields, *rule.optional))
    for action in ("services", "add", "status", "refill", "refill_status", "cancel", "balance"):
        assert f"{action}" in page
    assert "You have active order with this link. Please wait until order being completed." in page
    assert not re.search(r"(?:src|href)=[\"']https?://", reply.text), "nothing is fetched from elsewhere"


def check_other_requests(base: str, key: str) -> None:
    """With fields, or by POST, the same address speaks the protocol; a strange Host harms nobody."""
    assert requests.post(base, data={"key": key, "action": "balance"}, timeout=10).json()["currency"] == "USD"
    assert requests.get(base, params={"key": key, "action": "balance"}, timeout=10).json()["currency"] == "USD"
    assert requests.post(base, timeout=10).json() == {"error": "Invalid API key"}
    assert requests.get(f"{base}/v2", timeout=10).json() == {"error": "Invalid API key"}
    strange = requests.get(base, headers={"Host": "x\"'><script>alert(1)</script>"}, timeout=10)
    assert "<script>alert" not in strange.text
    assert requests.head(f"{base}/", timeout=10).headers["Content-Type"].startswith("text/html")
