"""What must hold, whatever happened, of when orders are asked about next."""

from gateway.db.engine import Database

_NOT_SO = """
    SELECT o.number, o.dispatch, o.status, o.provider_id, c.provider_id AS asked_at, c.next_check_at
      FROM orders o FULL JOIN order_checks c ON c.order_id = o.id
     WHERE CASE WHEN c.order_id IS NULL
                THEN o.dispatch = 'accepted' AND coalesce(o.completed_at > now() - interval '3 days', true)
                ELSE coalesce(o.dispatch <> 'accepted' OR o.provider_id <> c.provider_id
                              OR o.external_order_id IS NULL, true) END
"""


async def assert_followed(db: Database) -> None:
    """Every order that an upstream took is asked about there, until three days after its end, and no other one is."""
    async with db.connection() as connection:
        assert [dict(row) for row in await connection.fetch(_NOT_SO)] == []
