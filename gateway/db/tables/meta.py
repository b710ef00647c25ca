"""The metadata, its naming convention, and the column types that all tables share."""

from typing import Any

from sqlalchemy import Column, DateTime, MetaData, Numeric, String, text
from sqlalchemy.dialects.postgresql import UUID

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

MONEY = Numeric(20, 8)
"""Amounts to eight places (the source's two cannot hold a price of 0.004 per 1000)."""
CURRENCY = String(10)
TIME = DateTime(timezone=True)


def key(name: str = "id") -> Column[Any]:
    """A UUIDv7 primary key; the default serves rows written by hand."""
    return Column(name, UUID, primary_key=True, server_default=text("uuid7()"))


def created_at() -> Column[Any]:
    return Column("created_at", TIME, server_default=text("now()"), nullable=False)


def updated_at() -> Column[Any]:
    """Kept by the trigger `set_updated_at`."""
    return Column("updated_at", TIME, server_default=text("now()"), nullable=False)


def one_of(column: str, *values: str) -> str:
    """The text of a CHECK that allows these values alone."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"
