"""SQL of taught words."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from compat.errors import Fault
from gateway.db.engine import Transaction
from gateway.providers.words.model import FAULTS


class Taught(msgspec.Struct, frozen=True):
    words: str
    meaning: Literal["refused", "provider", "passing"]
    created_at: datetime


async def save(tx: Transaction, provider_id: UUID, words: str, meaning: str) -> None:
    """What was taught of the same words before is replaced."""
    await tx.execute(
        """
        INSERT INTO taught_words (provider_id, words, meaning) VALUES ($1, $2, $3)
        ON CONFLICT (provider_id, words) DO UPDATE SET meaning = excluded.meaning, created_at = now()
        """,
        provider_id,
        words,
        meaning,
    )


async def delete(tx: Transaction, provider_id: UUID, words: str) -> bool:
    """Whether they had been taught."""
    done = await tx.fetchval(
        "DELETE FROM taught_words WHERE provider_id = $1 AND words = $2 RETURNING true", provider_id, words
    )
    return bool(done)


async def list_of(tx: Transaction, provider_id: UUID, *, after: str = "", most: int | None = None) -> list[Taught]:
    """By the words, behind `after`; all of them where no `most` is given."""
    rows = await tx.fetch(
        """
        SELECT words, meaning, created_at FROM taught_words WHERE provider_id = $1 AND words > $2
         ORDER BY words LIMIT $3
        """,
        provider_id,
        after,
        most,
    )
    return [Taught(*row) for row in rows]


async def load(tx: Transaction) -> dict[UUID, dict[str, Fault]]:
    """What each provider's words mean; providers without any are left out."""
    taught: dict[UUID, dict[str, Fault]] = {}
    for row in await tx.fetch("SELECT provider_id, words, meaning FROM taught_words"):
        taught.setdefault(row["provider_id"], {})[row["words"]] = FAULTS[row["meaning"]]
    return taught
