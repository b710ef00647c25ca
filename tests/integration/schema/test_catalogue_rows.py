"""What is on sale before the migration that keeps offers and routes apart, after it, and after the way back."""

import asyncpg

from gateway.db import migrate

GONE = "not listed by the provider"
SERVICES: dict[str, tuple[bool, list[tuple[str, bool, str | None]]]] = {
    "on": (True, [("North", True, None)]),
    "gone": (False, [("North", False, GONE)]),
    "gone while off": (False, [("North", False, f"{GONE}, and was off sale")]),
    "off by hand": (False, [("North", True, None)]),
    "gone at one of two": (True, [("North", False, GONE), ("South", True, None)]),
    "without a route": (True, []),
    "its route is off": (True, [("North", False, None)]),
    "its provider is off": (True, [("Closed", True, None)]),
}


async def put_down(connection: asyncpg.Connection) -> None:
    for provider in ("North", "South", "Closed"):
        await connection.execute(
            "INSERT INTO providers (name, api_endpoint, api_key_encrypted, is_active) VALUES ($1, 'http://x', 'k', $2)",
            provider,
            provider != "Closed",
        )
    for name, (is_active, routes) in SERVICES.items():
        service_id = await connection.fetchval(
            "INSERT INTO services (name, platform, type, category, kind, price_per_1000, min_quantity, max_quantity, "
            "is_active) VALUES ($1, 'x', 'x', 'x', 'Default', 2, 10, 100, $2) RETURNING id",
            name,
            is_active,
        )
        for provider, buys, reason in routes:
            await connection.execute(
                "INSERT INTO service_routes (service_id, provider_id, provider_service_id, cost_per_1000, is_active, "
                "paused_reason) SELECT $1, id, $2, 1, $4, $5 FROM providers WHERE name = $3",
                service_id,
                name,
                provider,
                buys,
                reason,
            )


async def routes_of(connection: asyncpg.Connection) -> dict[str, list[tuple[str, bool, str | None]]]:
    rows = await connection.fetch(
        "SELECT s.name, p.name AS provider, r.is_active, r.paused_reason FROM services s "
        "JOIN service_routes r ON r.service_id = s.id JOIN providers p ON p.id = r.provider_id "
        "ORDER BY s.number, p.name"
    )
    found: dict[str, list[tuple[str, bool, str | None]]] = {name: [] for name in SERVICES}
    for row in rows:
        found[row["name"]].append((row["provider"], row["is_active"], row["paused_reason"]))
    return found


async def named(connection: asyncpg.Connection, condition: str) -> set[str]:
    return {row["name"] for row in await connection.fetch(f"SELECT name FROM services WHERE {condition}")}


async def test_what_vanished_is_known_for_that_up_and_down_and_up_again(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url, "0003")
    connection = await asyncpg.connect(empty_database_url)
    await put_down(connection)
    for _ in range(2):
        await migrate.upgrade(empty_database_url)
        assert await named(connection, "is_active") == {"on", "gone at one of two"}
        assert await named(connection, "id IN (SELECT service_id FROM service_routes WHERE NOT is_listed)") == {
            "gone",
            "gone while off",
            "gone at one of two",
        }
        assert {"on", "gone", "gone at one of two"} <= await named(connection, "is_offered")
        assert {"gone while off", "off by hand"} == await named(
            connection, "NOT is_offered AND name IN ('on', 'gone', 'gone while off', 'off by hand')"
        )
        await migrate.downgrade(empty_database_url, "0003")
        assert await routes_of(connection) == {name: routes for name, (_, routes) in SERVICES.items()}
    await connection.close()


async def test_a_cost_that_waits_is_not_bought_at_after_the_way_back(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await put_down(connection)
    await connection.execute("UPDATE service_routes SET offered_cost = 5 WHERE provider_service_id = 'on'")
    await migrate.downgrade(empty_database_url, "0003")
    assert (await routes_of(connection))["on"] == [("North", False, GONE)]
    await connection.close()
