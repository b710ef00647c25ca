"""What is said of every service, in memory."""

import time
from collections.abc import Mapping
from uuid import UUID

from gateway.catalog.quality.model import Summary, average_time
from gateway.catalog.quality.reading import summaries
from gateway.db.engine import Database

REFRESH_S = 60.0
SHARE_MAX = 0.05
"""Of the time that is spent reading: where it takes long, it is done less often."""


class QualityBoard:
    """Empty until the first `refresh`, to be called every `REFRESH_S`. What changed is another mapping, never the same.

    A service of which nothing is said is in neither.
    """

    def __init__(self) -> None:
        self.summaries: Mapping[UUID, Summary] = {}
        """Of the last 30 days."""
        self.average_times: Mapping[UUID, str] = {}
        """As panels show them."""
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
            found = await summaries(connection)
        said = {service_id: average_time(summary) for service_id, summary in found.items()}
        words = {service_id: word for service_id, word in said.items() if word is not None}
        if found != self.summaries:
            self.summaries = found
        if words != self.average_times:
            self.average_times = words
        took_s = time.monotonic() - began
        self._rest_until = began + took_s / SHARE_MAX if took_s > REFRESH_S * SHARE_MAX else 0.0
