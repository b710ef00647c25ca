"""The page at `GET /api`, and its clients, taken from the page and run as they stand."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from compat import errors
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
    "PHP": """
$order = $panel->add(SERVICE, ['link' => 'https://example.com/p/1', 'quantity' => 100])['order'];
$show = fn($reply) => print(json_encode($reply) . "\\n");
$show(['order' => $order]);
$show($panel->status($order));
$show($panel->statuses([$order, 7]));
$show(count($panel->services()) > 0);
try { $panel->refill($order); } catch (RuntimeException $refusal) { $show(['error' => $refusal->getMessage()]); }
try { $panel->refillStatus(99); } catch (RuntimeException $refusal) { $show(['error' => $refusal->getMessage()]); }
$show($panel->cancel([$order, 7]));
""",
    "Python": """
order = panel.add(SERVICE, link="https://example.com/p/1", quantity=100)["order"]
print(json.dumps({"order": order}))
print(json.dumps(panel.status(order)))
print(json.dumps(panel.statuses([order, 7])))
print(json.dumps(len(panel.services()) > 0))
for ask, number in ((panel.refill, order), (panel.refill_status, 99)):
    try:
        ask(number)
    except PanelError as refusal:
        print(json.dumps({"error": str(refusal)}))
print(json.dumps(panel.cancel([order, 7])))
""",
    "JavaScript": """
const { order } = await panel.add(SERVICE, { link: "https://example.com/p/1", quantity: 100 });
const show = (reply) => console.log(JSON.stringify(reply));
show({ order });
show(await panel.status(order));
show(await panel.statuses([order, 7]));
show((await panel.services()).length > 0);
await panel.refill(order).catch((refusal) => show({ error: refusal.message }));
await panel.refillStatus(99).catch((refusal) => show({ error: refusal.message }));
show(await panel.cancel([order, 7]));
""",
    "curl": """
added=$(panel add service=SERVICE link=https://example.com/p/1 quantity=100)
echo "$added"
order=${added//[^0-9]/}
panel status order=$order
panel status orders=$order,7
[ "$(panel services | head -c 1)" = "[" ] && echo true
panel refill order=$order
panel refill_status refill=99
panel cancel orders=$order,7
""",
}
"""What a reader adds to the end of a client to place an order, look at it and cancel it."""


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
        service = find_service(url, key)
        ran = 0
        for language, program in clients_of(page.text).items():
            with subtests.test(msg=language):
                name, words = RUNS[language]
                if shutil.which(words[0]) is None:
                    pytest.skip(f"{words[0]} is not installed")
                more = CALLS[language].replace("SERVICE", str(service))
                path = tmp_path / name
                path.write_text(f"{program.replace('YOUR_KEY', key)}\n{more}\n")
                check_answers([json.loads(line) for line in run([*words, str(path)]).splitlines()])
                ran += 1
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM orders") == ran


def find_service(url: str, key: str) -> int:
    """One that can be cancelled and refilled, so that the order's state alone decides."""
    services = requests.post(url, data={"key": key, "action": "services"}, timeout=10).json()
    return int(next(row["service"] for row in services if row["type"] == "Default" and row["cancel"] and row["refill"]))


def check_answers(answers: list[Any]) -> None:
    balance, added, status, statuses, has_services, refill, refill_status, cancel = answers
    order = added["order"]
    assert balance["currency"] == "USD"
    assert status["status"] == "Pending"
    assert statuses == {str(order): {"order": order, **status}, "7": {"error": "Incorrect order ID"}}
    assert has_services is True
    assert refill == {"error": "The order is not completed"}
    assert refill_status == {"error": "Refill not found"}
    assert cancel == [{"order": order, "cancel": 1}, {"order": 7, "cancel": {"error": "Incorrect order ID"}}]


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
    words = [text for name, text in vars(errors).items() if name.isupper() and isinstance(text, str)]
    assert len(words) > 15
    assert all(text.replace("{}", "N") in page for text in words)
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
