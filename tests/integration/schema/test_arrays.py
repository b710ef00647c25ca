"""New connections know the arrays of PostgreSQL's own types without asking."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID

import pytest

from gateway.db.arrays import ELEMENTS
from gateway.db.engine import Database

VALUES: dict[str, Any] = {
    "bool": True,
    "bytea": b"\0\1",
    "int2": -7,
    "int4": 7,
    "text": 'a, "b"',
    "int8": 2**40,
    "float8": 0.5,
    "cidr": IPv4Network("192.0.2.0/24"),
    "date": date(2027, 11, 30),
    "timestamptz": datetime(2027, 11, 30, 18, 5, tzinfo=UTC),
    "interval": timedelta(hours=7),
    "numeric": Decimal("1.00000001"),
    "uuid": UUID("01a217cd-0f9e-7480-9080-a2b0ca633223"),
    "jsonb": {"a": [1, None]},
}


@pytest.mark.parametrize("name", ELEMENTS)
async def test_an_array_is_sent_and_read_without_another_question(db: Database, name: str) -> None:
    asked: list[str] = []
    sent = [VALUES[name], None, VALUES[name]]
    question = f"SELECT $1::{name}[]"
    async with db.connection() as connection:
        with connection.query_logger(lambda record: asked.append(record.query)):
            assert await connection.fetchval(question, sent) == sent
    assert asked == [question]
