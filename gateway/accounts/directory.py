"""From a key to its account, on every request's path."""

import time
from collections.abc import Callable
from datetime import datetime

from gateway.accounts import store
from gateway.accounts.cache import AccountCache
from gateway.accounts.model import KEY_CHARS, Account, is_well_formed
from gateway.accounts.rehashing import Rehashes
from gateway.batching import Batcher
from gateway.clock import utc_now
from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import GatewayError, InvalidKey
from gateway.keyring import Keyring

CHANNEL = "accounts_changed"
_CACHE_SIZE_MAX = 10_000
_CACHE_TTL_S = 60.0
_NOBODY_TTL_S = 10.0
_KEYS_PER_READ_MAX = 500
_READS_WAITING_MAX = 5_000


class Directory:
    """Knows the accounts in use by heart, as long as the listener would hear of their changes.

    To be made before the listener starts. While the listener is not healthy every look-up reads
    the database; look-ups that wait at the same moment share one read.
    """

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        listener: Listener,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._listener = listener
        self._clock = clock
        self._rehashes = Rehashes(keyring)
        self._cache = AccountCache(
            max_size=_CACHE_SIZE_MAX, ttl_s=_CACHE_TTL_S, nobody_ttl_s=_NOBODY_TTL_S, clock=time.monotonic
        )
        self._reads: Batcher[list[str], Account] = Batcher(
            self._read, max_batch=_KEYS_PER_READ_MAX, max_waiting=_READS_WAITING_MAX, name="accounts"
        )
        listener.on(CHANNEL, self._cache.drop)
        listener.on_reconnect(self._cache.clear)

    async def get_account(self, key: str) -> Account:
        """The account that the key acts for right now.

        Raises:
            InvalidKey: malformed, unknown, revoked, expired, or its user is suspended or banned.
            Unavailable: the database does not answer, or too many wait for it.
        """
        if len(key) != KEY_CHARS:
            raise InvalidKey
        account = self._find_cached(key)
        if account is None:
            if not is_well_formed(key):
                raise InvalidKey
            account = await self._reads.submit(self._keyring.api_key_hashes(key))
        if account.expires_at is not None and account.expired(self._clock()):
            raise InvalidKey
        return account

    async def rehash(self) -> None:
        """Move keys that were used and are still hashed under an older secret. Raises as `Rehashes.flush`."""
        await self._rehashes.flush(self._db)

    async def close(self) -> None:
        """Wait until the look-ups under way are answered."""
        await self._reads.close()

    def _find_cached(self, key: str) -> Account | None:
        if not self._listener.healthy:
            return None
        _, newest = self._keyring.hash_api_key(key)
        account = self._cache.find(newest)
        if account is None and self._cache.is_nobodys(newest):
            raise InvalidKey
        return account

    async def _read(self, keys: list[list[str]]) -> list[Account | GatewayError]:
        generation = self._cache.generation
        heard = self._listener.healthy
        async with self._db.connection() as connection:
            found = await store.find_by_key_hashes(connection, sorted({h for hashes in keys for h in hashes}))
        answers: list[Account | GatewayError] = []
        for hashes in keys:
            stored = next((h for h in hashes if h in found), None)
            if stored is None:
                answers.append(InvalidKey())
                if heard:
                    self._cache.put_nobodys(hashes[0], generation)
                continue
            answers.append(found[stored])
            if stored != hashes[0]:
                self._rehashes.note(found[stored].key_id, stored, hashes[0])
            if heard:
                self._cache.put(hashes[0], found[stored], generation)
        return answers
