"""The clients that resellers have work unchanged, with nothing but the URL and the key."""

import json
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.db.engine import Database
from tests.support.accounts import Reseller, add_provider, add_reseller
from tests.support.processes import Installation, answering, running_processes

LINK = "https://example.com/p/1?a=b&c=%20+d=e=ü"
"""With all that an encoding could lose."""

Fields = dict[str, str]
Ask = Callable[[str, Fields], Any]

PHP = r"""
$curl = curl_init($argv[1]);
curl_setopt_array($curl, [
    CURLOPT_RETURNTRANSFER => 1,
    CURLOPT_POST => 1,
    CURLOPT_SSL_VERIFYHOST => 0,
    CURLOPT_SSL_VERIFYPEER => 0,
    CURLOPT_FOLLOWLOCATION => 1,
    CURLOPT_USERAGENT => 'Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)',
    CURLOPT_POSTFIELDS => http_build_query(json_decode($argv[2], true)),
]);
echo curl_exec($curl);
"""


def ask_by_php(url: str, fields: Fields) -> Any:
    return run("php", "-r", PHP, "--", url, json.dumps(fields))


def ask_by_requests(url: str, fields: Fields) -> Any:
    return requests.post(url, data=fields, timeout=20).json()


def ask_by_curl_get(url: str, fields: Fields) -> Any:
    return run("curl", "-sG", url, *(word for pair in pairs(fields) for word in ("--data-urlencode", pair)))


def ask_by_curl_form(url: str, fields: Fields) -> Any:
    return run("curl", "-s", url, *(word for pair in pairs(fields) for word in ("-F", pair)))


def ask_by_curl_json(url: str, fields: Fields) -> Any:
    return run("curl", "-s", url, "-H", "Content-Type: application/json", "-d", json.dumps(fields))


HAS_CURL = ("curl", "--version")
CLIENTS: dict[str, tuple[Ask, tuple[str, ...]]] = {
    "PHP's curl with http_build_query": (ask_by_php, ("php", "-r", "curl_version();")),
    "Python requests": (ask_by_requests, ()),
    "curl -G": (ask_by_curl_get, HAS_CURL),
    "curl -F": (ask_by_curl_form, HAS_CURL),
    "JSON by curl": (ask_by_curl_json, HAS_CURL),
}
"""How each asks, and the command that succeeds where that client is installed."""


async def test_stock_clients_list_order_follow_and_read_their_balance(
    tmp_path: Path, db: Database, database_url: str, redis_url: str, subtests: pytest.Subtests
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url)
        api = gateway.begin_serving()
        upstream = processes.simulator()
        await add_provider(db, gateway.settings, upstream.url, upstream.key, markup="0")
        url = answering(api).url
        for number, (name, (ask, probe)) in enumerate(CLIENTS.items()):
            reseller = await add_reseller(db, gateway.keyring, "10", email=f"{number}@example.com")
            with subtests.test(msg=name):
                if probe and not works(probe):
                    pytest.skip(f"{probe[0]} is not installed, or without what this client needs")
                speak_the_protocol(ask, url, reseller.key)
                assert await links_of(db, reseller) == [LINK]


async def links_of(db: Database, reseller: Reseller) -> list[str]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT link FROM orders WHERE user_id = $1", reseller.user_id)
    return [row["link"] for row in rows]


def speak_the_protocol(ask: Ask, url: str, key: str) -> None:
    services = ask(url, {"key": key, "action": "services"})
    service = next(row for row in services if row["type"] == "Default")
    assert service["rate"] == "0.90"

    order = {"service": str(service["service"]), "link": LINK, "quantity": "1000"}
    added = ask(url, {"key": key, "action": "add", **order})
    assert added.keys() == {"order"}
    assert isinstance(added["order"], int)

    status = ask(url, {"key": key, "action": "status", "order": str(added["order"])})
    assert (status["status"], status["charge"], status["currency"]) == ("Pending", "0.9", "USD")
    assert status["remains"] == "1000"

    balance = ask(url, {"key": key, "action": "balance"})
    assert (Decimal(balance["balance"]), balance["currency"]) == (Decimal("9.1"), "USD")
    assert ask(url, {"key": key + "x", "action": "balance"}) == {"error": "Invalid API key"}


def works(command: tuple[str, ...]) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


def pairs(fields: Fields) -> list[str]:
    return [f"{name}={value}" for name, value in fields.items()]


def run(*words: str) -> Any:
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)
    return json.loads(done.stdout)
