"""A revoked key opens nothing any more, in any process."""

import time
from pathlib import Path

from gateway.accounts.keys import revoke_key
from gateway.db.engine import Database
from tests.support.accounts import Client, add_reseller
from tests.support.processes import Installation, answering, eventually, running_processes

REVOKED_WITHIN_S = 1.0


async def test_a_revoked_key_is_refused_within_a_second_by_every_process(
    tmp_path: Path, db: Database, database_url: str, redis_url: str
) -> None:
    with running_processes(tmp_path) as processes:
        gateway = Installation(processes, database_url, redis_url)
        starting = [gateway.begin_serving(), gateway.begin_serving()]
        revoked = await add_reseller(db, gateway.keyring, "10")
        kept = await add_reseller(db, gateway.keyring, "10", email="other@example.com")
        first, second = (answering(api).url for api in starting)
        async with Client(first, revoked.key) as here, Client(second, revoked.key) as there:
            for client in (here, there, here, there):
                assert "balance" in await client.get(action="balance")

            async with db.transaction() as tx:
                await revoke_key(tx, revoked.key_id)
            in_force = time.monotonic() + REVOKED_WITHIN_S

            for client in (here, there):

                async def refused(client: Client = client) -> bool:
                    return "error" in await client.get(action="balance")

                await eventually(refused, what="the revocation", within_s=in_force - time.monotonic())
                assert await client.get(action="balance") == {"error": "Invalid API key"}
        async with Client(first, kept.key) as client:
            assert "balance" in await client.get(action="balance")
