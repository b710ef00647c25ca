"""SQL of the catalogue's changes, which a trigger on services writes."""

from gateway.catalog.feed.model import Change, Since
from gateway.db.engine import Transaction


async def list_changes(tx: Transaction, since: Since, currency: str, most: int) -> list[Change]:
    """The next changes of services sold in the currency, in the order (transaction, id).

    Nothing is read past the oldest transaction that is still open: it may hold changes that would
    come before, and who reads on by cursor would miss them.
    """
    rows = await tx.fetch(
        """
        SELECT xid, id, service_id, number, kind, before, after, created_at FROM catalog_changes
         WHERE (xid, id) > ($1, $2) AND created_at >= $3 AND after ->> 'currency' = $4
           AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
         ORDER BY xid, id LIMIT $5
        """,
        since.xid,
        since.id,
        since.at,
        currency,
        most,
    )
    return [Change(*row) for row in rows]
