"""How large each table is over its partitions, beside what was estimated for a year."""

import asyncpg
import msgspec

KB, MB, GB = 1000, 1000**2, 1000**3
ESTIMATED: dict[str, tuple[int, int]] = {
    "users": (10_000, 2 * MB),
    "wallets": (20_000, 3 * MB),
    "ledger": (10_000_000, 2 * GB),
    "orders": (5_000_000, GB),
    "services": (500, 100 * KB),
    "providers": (50, 50 * KB),
    "api_keys": (500, 100 * KB),
    "webhooks": (1000, 200 * KB),
}
"""Rows and bytes after a year, without indexes, as the schema that this one came from estimates them."""


class Table(msgspec.Struct, frozen=True):
    """Bytes of the rows themselves, of what of them is kept apart, and of the indexes, over all partitions."""

    name: str
    partitions: int
    rows: int
    heap: int
    toast: int
    indexes: int
    index_count: int

    @property
    def row_bytes(self) -> float:
        return (self.heap + self.toast) / self.rows if self.rows else 0.0

    @property
    def of_estimate(self) -> float | None:
        """Bytes a row beside the estimate's."""
        if self.name not in ESTIMATED or not self.rows:
            return None
        rows, size = ESTIMATED[self.name]
        return self.row_bytes / (size / rows)


async def find_sizes(connection: asyncpg.Connection) -> list[Table]:
    """The largest first; every row is counted."""
    rows = await connection.fetch(
        """
        SELECT c.relname AS name, count(*)::int AS partitions, sum(pg_relation_size(t.relid))::bigint AS heap,
               sum(pg_table_size(t.relid) - pg_relation_size(t.relid))::bigint AS toast,
               sum(pg_indexes_size(t.relid))::bigint AS indexes,
               (SELECT count(*) FROM pg_index WHERE indrelid = c.oid)::int AS index_count
          FROM pg_class c CROSS JOIN LATERAL (
               SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf
               UNION ALL SELECT c.oid WHERE c.relkind = 'r') t
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         GROUP BY c.oid, c.relname
        """
    )
    found = [Table(rows=await connection.fetchval(f"SELECT count(*) FROM {row['name']}"), **row) for row in rows]
    return sorted(found, key=lambda table: -(table.heap + table.toast + table.indexes))
