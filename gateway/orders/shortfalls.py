"""Wallets that could not pay for an order a moment ago: whether one can by now is read without its lock."""

from decimal import Decimal
from uuid import UUID

from gateway.batching import Batcher
from gateway.db.engine import Database
from gateway.errors import GatewayError
from gateway.ledger import store as ledger

_KEPT_MAX = 20_000
_READS_TOGETHER_MAX = 64
_READS_WAITING_MAX = 2000


class Shortfalls:
    """Keeps those who order without money from locking anything: a lock costs a commit, and the disk's time.

    What is read is what is committed, so that a refusal is right at that moment, and money that came is seen at once.
    """

    def __init__(self, db: Database, kept_max: int = _KEPT_MAX) -> None:
        self._db = db
        self._kept_max = kept_max
        self._short: set[UUID] = set()
        self._spendable: Batcher[UUID, Decimal] = Batcher(
            self._read, max_batch=_READS_TOGETHER_MAX, max_waiting=_READS_WAITING_MAX, name="shortfalls"
        )

    def note(self, wallet_id: UUID) -> None:
        """It just could not pay. Forgetting all is the bound: it costs a lock each."""
        if len(self._short) >= self._kept_max:
            self._short.clear()
        self._short.add(wallet_id)

    async def still_short(self, wallet_id: UUID, price: Decimal) -> bool:
        """Whether the wallet is known to have been short, and cannot pay the price now either.

        Raises:
            Unavailable: the database does not answer, or too many wait for it.
        """
        if wallet_id not in self._short:
            return False
        if await self._spendable.submit(wallet_id) < price:
            return True
        self._short.discard(wallet_id)
        return False

    async def close(self) -> None:
        await self._spendable.close()

    async def _read(self, wallet_ids: list[UUID]) -> list[Decimal | GatewayError]:
        async with self._db.connection() as connection:
            spendable = await ledger.spendable_of(connection, wallet_ids)
        return [spendable[wallet_id] for wallet_id in wallet_ids]
