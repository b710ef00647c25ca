"""What is said of every service, in memory."""

import time
from uuid import UUID

from gateway.catalog.quality.model import Summary, average_time
from gateway.catalog.quality.reading import summaries
from gateway.db.engine import Database

REFRESH_S = 60.0
SHARE_MAX = 0.05
"""Of the time that is spent reading: where it takes long, it is done less often."""


class QualityBoard:
    """Empty until the first `refresh`, to be called every `REFRESH_S`; `version` goes up where words change."""

    def __init__(self) -> None:
        self.version = 0
        self._summaries: dict[UUID, Summary] = {}
        self._words: dict[UUID, str] = {}
        self._rest_until = 0.0

    async def refresh(self, db: Database) -> None:
        """Read the last 30 days again; what was known stays where that fails.

        Raises:
            Unavailable: the database does not answer.
        """
        began = time.monotonic()
        if began < self._rest_until:
            return
        async with db.connection() as connection:
            self._summaries = await summaries(connection)
        said = {service_id: average_time(summary) for service_id, summary in self._summaries.items()}
        words = {service_id: word for service_id, word in said.items() if word is not None}
        if words != self._words:
            self._words = words
            self.version += 1
        ended = time.monotonic()
        took_s = ended - began
        self._rest_until = ended + took_s * (1 / SHARE_MAX - 1) if took_s > REFRESH_S * SHARE_MAX else 0.0

    def find(self, service_id: UUID) -> Summary | None:
        """Of the last 30 days; None under ten orders."""
        return self._summaries.get(service_id)

    def average_time(self, service_id: UUID) -> str | None:
        """As panels show it; None under ten completed orders."""
        return self._words.get(service_id)
