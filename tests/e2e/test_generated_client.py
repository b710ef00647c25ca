"""A client that a generator made from the description places an order."""

import asyncio
import sys
from pathlib import Path

from gateway.db.engine import Database
from tests.support.described import described

GENERATOR = Path(sys.executable).with_name("openapi-python-client")
ORDER = """
import sys
from reseller_gateway_client import AuthenticatedClient
from reseller_gateway_client.api.orders import create_order, get_order
from reseller_gateway_client.models import NewOrder

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
body = NewOrder(service=1, link="https://example.com/p/1", quantity=100)
placed = create_order.sync(client=client, body=body, idempotency_key="made-by-a-generator")
again = create_order.sync(client=client, body=body, idempotency_key="made-by-a-generator")
found = get_order.sync(str(placed.number), client=client)
assert placed.to_dict() == again.to_dict() == found.to_dict()
print(found.status, found.price, found.number)
"""


async def run(*command: str, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_a_generated_client_places_an_order(
    db: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with described(db, database_url, redis_url) as server:
        await run(
            str(GENERATOR), "generate", "--url", f"{server.url}/schema/openapi.json", "--meta", "none",
            "--output-path", str(tmp_path / "reseller_gateway_client"), cwd=tmp_path,
        )  # fmt: skip
        said = await run(sys.executable, "-c", ORDER, server.url, server.reseller.key, cwd=tmp_path)
    assert said.split()[:2] == ["Status.PENDING", "0.09"] or said.split()[:2] == ["pending", "0.09"]
