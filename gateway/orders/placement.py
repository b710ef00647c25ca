"""Placing orders: price, hold and row in one transaction, shared by the requests that wait together."""

from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from compat.drafts import Draft
from gateway.accounts.model import Account
from gateway.accounts.spending import store as spending
from gateway.batching import Apart, Batcher
from gateway.catalog.model import Service
from gateway.db.engine import ROLLED_BACK, Database, Transaction
from gateway.db.notifier import Notifier
from gateway.errors import Conflict, GatewayError, InProgress, InsufficientFunds, Unavailable, nothing_placed
from gateway.ledger import store as ledger
from gateway.orders import store
from gateway.orders.decisions import Placing, decide, prepare
from gateway.orders.entering import store as entering
from gateway.orders.replays import store as replays
from gateway.orders.replays.model import Replay
from gateway.orders.replays.recalling import Answer, found_on_record, recall, with_copies
from gateway.orders.shortfalls import Shortfalls
from gateway.orders.store import NewOrder

BATCH_MAX = 64
WAITING_MAX = 2000
FLIGHTS = 3
"""Batches are decided and written while others are answered or kept by the disk; with a fourth it is no more."""
PLAIN_FLIGHTS = 2
"""Of those that are one statement each."""


class _Contended(Exception):
    """Something of the batch is locked by another; the batcher halves it, so that the others go on."""


class Placement:
    """Takes orders of one process. Nothing leaves the process here: the row is the instruction to send."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._dispatchers = Notifier(db, entering.QUEUED)
        self._shortfalls = Shortfalls(db)
        self._batcher: Batcher[Placing, int] = Batcher(
            self._flush, max_batch=BATCH_MAX, max_waiting=WAITING_MAX, name="placement", flights=FLIGHTS
        )
        self._plain: Batcher[Placing, int | None] = Batcher(
            self._flush_plain,
            max_batch=BATCH_MAX,
            max_waiting=WAITING_MAX,
            name="plain placement",
            flights=PLAIN_FLIGHTS,
        )

    async def place(self, account: Account, service: Service, draft: Draft, replay: Replay | None = None) -> int:
        """The number of an order whose price is held, that the dispatcher will send.

        With a `replay`, that of the order which the same request placed before, where it did.

        Raises:
            UnknownService, ServiceDisabled, QuantityTooLow, QuantityTooHigh: see `prepare`.
            InsufficientFunds: what can be spent does not cover the price.
            SpendCapReached: it would take the key above its cap of the day.
            ActiveOrder: the key refuses a second one beside an active order.
            IdempotencyMismatch: the key stands for other fields.
            InProgress: another request with the key is being written, and takes long.
            Unavailable: `placed` False where nothing was written, None where it cannot be known.
        """
        return await self.submit(prepare(account, service, draft), replay)

    async def submit(self, placing: Placing, replay: Replay | None = None) -> int:
        """As `place`, of an order that was prepared."""
        if replay is not None:
            placing = msgspec.structs.replace(placing, replay=replay)
        elif placing.depends_on_money_alone:
            with nothing_placed():
                if await self._shortfalls.still_short(placing.wallet_id, placing.new.order.price):
                    raise InsufficientFunds
        try:
            number = await self._plain.submit(placing) if placing.is_plain else None
            return await self._batcher.submit(placing) if number is None else number
        except InsufficientFunds:
            self._shortfalls.note(placing.wallet_id)
            raise

    async def find_replayed(self, user_id: UUID, replay: Replay) -> int | None:
        """The number of the order that the same request placed before; None where there is none.

        To be asked before a request is refused, since what it wants may have been right the first time.
        """
        owner, nobody = (user_id, replay.key), uuid7()
        async with self._db.transaction() as tx:
            if await replays.claim(tx, {owner: (replay, nobody)}):  # waits for a first one that is being written
                await replays.forget(tx, [owner])
                return None
            found = (await replays.find(tx, [owner])).get(owner)
            if found is None or found[0] != replay.fields_hash or found[1] is None:
                return None
            return (await store.numbers_of(tx, [found[1]])).get(found[1])

    async def close(self) -> None:
        await self._shortfalls.close()
        await self._plain.close()
        await self._batcher.close()
        await self._dispatchers.close()

    async def _flush_plain(self, batch: list[Placing]) -> list[int | GatewayError | None]:
        """What is not to be had so simply is decided under its wallet's lock; None for what is to go there again."""
        session: int | None = None
        try:
            async with self._db.connection() as connection:
                session = connection.get_server_pid()
                numbers = await entering.place_covered(connection, [(each.new, each.wallet_id) for each in batch])
        except (Conflict, Unavailable) as error:
            return list(await self._after(error, batch, None, session))
        if numbers:
            self._dispatchers.wake()
        rest = [each for each in batch if each.new.order.id not in numbers]
        outcomes = dict(zip((each.new.order.id for each in rest), await self._decide_now(rest), strict=True))
        return [numbers.get(each.new.order.id) or outcomes[each.new.order.id] for each in batch]

    async def _decide_now(self, rest: list[Placing]) -> list[int | GatewayError | None]:
        """What was not covered is decided before any that came later is asked for; None where it takes parting."""
        if not rest:
            return []
        try:
            return list(await self._flush(rest))
        except GatewayError as error:
            return [error.with_traceback(None)] * len(rest)
        except Exception:  # of any flush: the others of the batch are placed, so that another parts and halves these
            return [None] * len(rest)

    async def _flush(self, batch: list[Placing]) -> list[int | GatewayError]:
        answers: list[int | GatewayError] | None = None
        try:
            async with self._db.transaction() as tx:
                answers = await _write(tx, batch)
            if any(isinstance(answer, int) for answer in answers):
                self._dispatchers.wake()
        except InProgress as error:
            if len(batch) > 1:
                raise _Contended from error
            raise
        except (Conflict, Unavailable) as error:
            return await self._after(error, batch, answers)
        return answers

    async def _after(
        self,
        error: Conflict | Unavailable,
        batch: list[Placing],
        answers: list[int | GatewayError] | None,
        session: int | None = None,
    ) -> list[int | GatewayError]:
        """How a batch goes on that failed; `answers` are what was decided before.

        `session` is the server's end of what was sent without a lock before it.
        """
        if isinstance(error, Conflict):  # these very orders are there: an earlier commit went through
            return await self._look_up(batch, None, Unavailable(error.what))
        if error.placed is not False:
            return await self._look_up(batch, answers, error, session)
        if len(batch) > 1 and isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            raise await self._contention(batch) from error
        if len(batch) > 1 and isinstance(error.__cause__, ROLLED_BACK):
            raise _Contended from error
        try:
            raise error
        finally:
            del error  # it names this frame

    async def _contention(self, batch: list[Placing]) -> Exception:
        """How a batch goes on that waited for a lock in vain: without the wallets that somebody holds.

        Those come after, each for itself. Halved, it would wait once for each half that has one of them.
        """
        try:
            async with self._db.transaction() as tx:
                free = await ledger.lock_free(tx, [placing.wallet_id for placing in batch])
        except Unavailable as error:
            return Unavailable(error.what, placed=False)
        first = free or {batch[0].wallet_id}
        places = {at for at, placing in enumerate(batch) if placing.wallet_id in first}
        if len(places) < len(batch):
            return Apart(places)
        return _Contended() if free else Unavailable("the wallet is busy", placed=False)

    async def _look_up(
        self,
        batch: list[Placing],
        answers: list[int | GatewayError] | None,
        lost: Unavailable,
        session: int | None = None,
    ) -> list[int | GatewayError]:
        """The answer to the commit was lost: look what is there, since a batch is written whole or not at all.

        Where it is, `answers` are those that were decided with it, refusals too. The wallets' locks are taken
        first, so that a commit still under way in the server is waited for. Of one statement without a lock before
        it that does not tell: it may begin after this, until the server has ended its `session`.
        """
        try:
            is_over = session is None or await self._db.has_ended(session)
            async with self._db.transaction() as tx:
                await ledger.lock(tx, [placing.wallet_id for placing in batch])
                numbers = await store.numbers_of(tx, [placing.new.order.id for placing in batch])
                known = await replays.find(tx, [owner for placing in batch if (owner := placing.owner)])
                numbers |= await store.numbers_of(tx, [order_id for _, order_id in known.values() if order_id])
        except (Unavailable, asyncpg.PostgresError) as error:
            raise Unavailable(lost.what) from error
        if answers is not None and any(placing.new.order.id in numbers for placing in batch):
            return answers
        nothing = Unavailable(lost.what, placed=False if is_over else None)
        return [found_on_record(placing, numbers, known) or nothing for placing in batch]


async def _write(tx: Transaction, batch: list[Placing]) -> list[int | GatewayError]:
    """Decide the batch and write what is placed; what each is answered once that is committed."""
    remembered = await recall(tx, batch)
    fresh = [placing for placing in batch if placing.new.order.id not in remembered]
    if not fresh:
        return with_copies(batch, remembered)
    wallets = await ledger.lock(tx, [placing.wallet_id for placing in fresh])
    capped = [placing.new.api_key_id for placing in fresh if placing.is_capped]
    days = await spending.lock(tx, capped) if capped else {}
    wary = [placing.new.order for placing in fresh if placing.refuse_duplicates]
    decided = decide(fresh, wallets, await store.find_active(tx, wary) if wary else frozenset(), days)
    accepted = [outcome for outcome in decided.outcomes if isinstance(outcome, NewOrder)]
    numbers: dict[UUID, int] = {}
    if accepted:
        numbers = await entering.place(tx, accepted, decided.wallets.values(), decided.entries)
        if decided.spending:
            await spending.write(tx, decided.spending.values())
    answers: dict[UUID, Answer] = {
        placing.new.order.id: numbers[outcome.order.id] if isinstance(outcome, NewOrder) else outcome
        for placing, outcome in zip(fresh, decided.outcomes, strict=True)
    }
    refused = [owner for placing in fresh if (owner := placing.owner) and placing.new.order.id not in numbers]
    if refused:
        await replays.forget(tx, refused)
    return with_copies(batch, remembered | answers)
