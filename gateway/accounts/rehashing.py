"""Keys that were shown while their hash is under an older secret: hashed anew, in batches, by a loop.

Only the key itself gives its hash, so this happens at a key's next use.
"""

from uuid import UUID

from gateway.accounts import store
from gateway.db.engine import Database
from gateway.keyring import Keyring

_KEYS_MAX = 20_000
_KEYS_PER_WRITE_MAX = 1_000


class Rehashes:
    """By the hash that a row has, of which a key in rotation has two; past the bound a key waits for its next use."""

    def __init__(self, keyring: Keyring) -> None:
        self._secret_id = keyring.kid
        self._waiting: dict[str, tuple[UUID, str]] = {}

    def note(self, key_id: UUID, key_hash: str, newest_hash: str) -> None:
        """`key_hash` is what the row has."""
        if len(self._waiting) < _KEYS_MAX:
            self._waiting[key_hash] = (key_id, newest_hash)

    async def flush(self, db: Database) -> None:
        """Write those that may be written; a key that may not yet is noted again when it is next read.

        Raises:
            Unavailable: the database does not answer; the rest waits for the next time.
        """
        while self._waiting:
            batch = list(self._waiting.items())[:_KEYS_PER_WRITE_MAX]
            async with db.transaction() as tx:
                await store.rehash_keys(
                    tx, self._secret_id, [(key_id, older, newest) for older, (key_id, newest) in batch]
                )
            for key_hash, _ in batch:
                del self._waiting[key_hash]
