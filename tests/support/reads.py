"""What PostgreSQL reads for the statements that a function makes."""

import itertools
import json
from collections import Counter
from typing import Any

import msgspec

from gateway.db.engine import Transaction

_names = itertools.count(1)


class Measured:
    """A connection that also notes what each statement with rows reads.

    `generic` measures the plan that is made once for all values, which PostgreSQL may go over to when a
    statement was run several times. `kept` has the plans of one connection by their statements: with it, what was
    planned once is not planned again.
    """

    def __init__(self, connection: Transaction, *, generic: bool = False, kept: dict[str, str] | None = None) -> None:
        self.connection = connection
        self._kept = kept
        self._mode = "force_generic_plan" if generic else "force_custom_plan"
        self.pages = 0
        """Pages of tables and indexes, each counted as often as it was looked at."""
        self.tables: set[str] = set()
        """Those that anything was read of, partitions by their own names."""
        self.planned: set[str] = set()
        """Those that a plan has a part for, whether it was run or not."""
        self.rows: Counter[str] = Counter()
        """How many rows of each table, partitions by their own names, were read and let through by a filter."""
        self.passed_over = 0
        """Rows that were read for nothing, as a filter let none of them through."""
        self.loops_max = 0
        """How often that part of a plan was run which was run most often."""
        self.read_whole: set[str] = set()
        """Of those, the ones that were read from one end to the other."""

    async def execute(self, query: str, *values: Any) -> Any:
        if values:
            await self.measure(query, values, self._mode)
        return await self.connection.execute(query, *values)

    async def fetch(self, query: str, *values: Any, timeout: float | None = None) -> Any:
        await self.measure(query, values, self._mode)
        return await self.connection.fetch(query, *values, timeout=timeout)

    async def fetchrow(self, query: str, *values: Any, timeout: float | None = None) -> Any:
        await self.measure(query, values, self._mode)
        return await self.connection.fetchrow(query, *values, timeout=timeout)

    async def fetchval(self, query: str, *values: Any) -> Any:
        await self.measure(query, values, self._mode)
        return await self.connection.fetchval(query, *values)

    async def prepare(self, query: str) -> "_Prepared":
        return _Prepared(self, query)

    def is_in_transaction(self) -> bool:
        return self.connection.is_in_transaction()

    async def measure(self, query: str, values: tuple[Any, ...], mode: str) -> None:
        name = (self._kept or {}).get(query)
        if name is None:
            name = f"measured_{next(_names)}"
            await self.connection.execute(f"SET plan_cache_mode = {mode}; PREPARE {name} AS {query}")
        given = f"({', '.join(_literal(value) for value in values)})" if values else ""
        plan = await self.connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}{given}")
        if self._kept is None:
            await self.connection.execute(f"DEALLOCATE {name}; RESET plan_cache_mode")
        else:
            self._kept[query] = name
        [whole] = plan if isinstance(plan, list) else json.loads(plan)
        self.pages += _most_pages(whole["Plan"])
        self._note(whole["Plan"])

    def _note(self, node: dict[str, Any]) -> None:
        self.loops_max = max(self.loops_max, node["Actual Loops"])
        self.passed_over += round(node.get("Rows Removed by Filter", 0) * node["Actual Loops"])
        if "Relation Name" in node:
            self.planned.add(node["Relation Name"])
        if "Relation Name" in node and node["Actual Loops"]:
            self.tables.add(node["Relation Name"])
            if node["Node Type"] != "ModifyTable":
                self.rows[node["Relation Name"]] += round(node["Actual Rows"] * node["Actual Loops"])
            if node["Node Type"] == "Seq Scan":
                self.read_whole.add(node["Relation Name"])
        for part in node.get("Plans", ()):
            self._note(part)


class Writing(Measured):
    """Of statements that write: each is run once, for its measure alone, and its rows are not seen."""

    async def execute(self, query: str, *values: Any, timeout: float | None = None) -> Any:
        await self.measure(query, values, self._mode)

    async def fetch(self, query: str, *values: Any, timeout: float | None = None) -> Any:
        await self.measure(query, values, self._mode)
        return []


class _Prepared:
    """A statement prepared for one use, which is planned for its values."""

    def __init__(self, connection: Measured, query: str) -> None:
        self._connection = connection
        self._query = query

    async def fetch(self, *values: Any) -> Any:
        await self._connection.measure(self._query, values, "force_custom_plan")
        return await self._connection.connection.fetch(self._query, *values)


def _most_pages(node: dict[str, Any]) -> int:
    """Of the node with the most, its parts' included: parts that write may go on when the whole has its rows."""
    here: int = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    return max([here, *map(_most_pages, node.get("Plans", ()))])


def _literal(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
        return _literal(msgspec.json.encode(value).decode())
    if isinstance(value, list):
        return _literal("{" + ",".join("NULL" if each is None else f'"{each}"' for each in value) + "}")
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
