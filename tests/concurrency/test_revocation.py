"""What is taken from a key or its user is gone within a second, in every process; and so is what is changed."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import aiohttp

from gateway.accounts.addresses import parse_network
from gateway.accounts.keys import change_key, revoke_key, rotate_key
from gateway.accounts.terms.model import KeyEdit
from gateway.accounts.tiers import set_tier
from gateway.accounts.users import set_user_status
from gateway.db.engine import Database, Transaction
from gateway.keyring import Keyring
from tests.support.accounts import Client, Reseller, add_reseller
from tests.support.processes import SECRET, Installation, answering, eventually, running_processes

IN_FORCE_WITHIN_S = 1.0
EMAIL = "reseller@example.com"
INVALID = {"error": "Invalid API key"}

Change: TypeAlias = Callable[[Transaction, Reseller], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "revoked": lambda tx, key: revoke_key(tx, key.key_id),
    "suspended": lambda tx, _: set_user_status(tx, EMAIL, "suspended"),
    "out of scope": lambda tx, key: change_key(tx, key.key_id, KeyEdit(scopes=("orders:read",))),
    "from elsewhere": lambda tx, key: change_key(
        tx, key.key_id, KeyEdit(allowed_addresses=(parse_network("192.0.2.0/24"),))
    ),
    "rotated": lambda tx, key: rotate_key(tx, Keyring((SECRET,)), key.key_id, 0),
}


@asynccontextmanager
async def two_processes(
    folder: Path, database_url: str, redis_url: str
) -> AsyncIterator[tuple[Installation, list[str]]]:
    with running_processes(folder) as processes:
        gateway = Installation(processes, database_url, redis_url)
        starting = [gateway.begin_serving(), gateway.begin_serving()]
        yield gateway, [answering(api).url for api in starting]


async def test_what_shuts_a_key_out_does_so_within_a_second_in_every_process(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    async with two_processes(tmp_path, database_url, redis_url) as (gateway, urls):
        kept = await add_reseller(db, gateway.keyring, "10", email="other@example.com")
        for number, change in enumerate(CHANGES.values()):
            email = EMAIL if change is CHANGES["suspended"] else f"reseller{number}@example.com"
            shut_out = await add_reseller(db, gateway.keyring, "10", email=email)
            async with Client(urls[0], shut_out.key) as here, Client(urls[1], shut_out.key) as there:
                for client in (here, there, here, there):
                    assert "balance" in await client.get(action="balance")

                async with db.transaction() as tx:
                    await change(tx, shut_out)
                in_force = time.monotonic() + IN_FORCE_WITHIN_S

                for client in (here, there):

                    async def refused(client: Client = client) -> bool:
                        return await client.get(action="balance") == INVALID

                    await eventually(refused, what=f"change {number}", within_s=in_force - time.monotonic())
        async with Client(urls[0], kept.key) as client:
            assert "balance" in await client.get(action="balance")


async def test_another_limit_is_in_force_within_a_second_in_every_process_and_begins_no_new_minute(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    async with two_processes(tmp_path, database_url, redis_url) as (gateway, urls):
        reseller = await add_reseller(db, gateway.keyring, "10", tier="pro")
        async with aiohttp.ClientSession() as http:

            async def ask(url: str) -> tuple[int, int]:
                """HTTP status, and the requests a minute that a refusal names."""
                data = {"key": reseller.key, "action": "balance"}
                async with http.post(url, data=data) as reply:
                    return reply.status, int(reply.headers.get("RateLimit-Policy", "q=0").split("q=")[1].split(";")[0])

            for url in urls * 3:
                assert (await ask(url))[0] == 200
            for wanted in (5, 4):
                async with db.transaction() as tx:
                    if wanted == 5:
                        await set_tier(tx, "pro", wanted)
                    else:
                        await change_key(tx, reseller.key_id, KeyEdit(requests_per_minute=wanted))
                in_force = time.monotonic() + IN_FORCE_WITHIN_S
                for url in urls:

                    async def refused(url: str = url, wanted: int = wanted) -> bool:
                        return await ask(url) == (429, wanted)

                    await eventually(refused, what=f"a limit of {wanted}", within_s=in_force - time.monotonic())
