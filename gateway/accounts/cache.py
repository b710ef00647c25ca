"""Accounts by the hash of their key: bounded, short-lived, never older than a change that was heard of."""

from collections import OrderedDict
from collections.abc import Callable

from gateway.accounts.model import Account


class AccountCache:
    """Least recently used goes first; an entry also goes when its time is up or its row changes.

    Whoever reads rows notes `generation` before and hands it to `put`: a change heard of in
    between raised it, and then the row may be of before the change and is not kept.

    What is known to be nobody's is kept for `nobody_ttl_s`, and until any change at all: a key that was switched
    off may be on again.
    """

    def __init__(self, *, max_size: int, ttl_s: float, nobody_ttl_s: float, clock: Callable[[], float]) -> None:
        self._max_size = max_size
        self._ttl_s = ttl_s
        self._nobody_ttl_s = nobody_ttl_s
        self._clock = clock
        self._entries: OrderedDict[str, tuple[Account, float]] = OrderedDict()
        self._hashes: dict[str, set[str]] = {}
        """Of the entries, by the id of the key, by that of the user and by `tier:` and its name."""
        self._nobodys: dict[str, float] = {}
        self.generation = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key_hash: str) -> Account | None:
        entry = self._entries.get(key_hash)
        if entry is None:
            return None
        account, stale_at = entry
        if stale_at <= self._clock():
            self._remove(key_hash)
            return None
        self._entries.move_to_end(key_hash)
        return account

    def put(self, key_hash: str, account: Account, generation: int) -> None:
        if generation != self.generation:
            return
        if key_hash in self._entries:
            self._remove(key_hash)
        self._entries[key_hash] = (account, self._clock() + self._ttl_s)
        for owner in _owners(account):
            self._hashes.setdefault(owner, set()).add(key_hash)
        if len(self._entries) > self._max_size:
            self._remove(next(iter(self._entries)))

    def is_nobodys(self, key_hash: str) -> bool:
        """Whether no account had this key a moment ago."""
        stale_at = self._nobodys.get(key_hash)
        return stale_at is not None and stale_at > self._clock()

    def put_nobodys(self, key_hash: str, generation: int) -> None:
        """As `put`, of a key that no account has. Forgetting all is the bound: it costs a read each."""
        if generation != self.generation:
            return
        if len(self._nobodys) >= self._max_size:
            self._nobodys.clear()
        self._nobodys[key_hash] = self._clock() + self._nobody_ttl_s

    def drop(self, changed: str) -> None:
        """Forget the accounts of one key's or one user's id, or of `tier:` and a name."""
        self.generation += 1
        self._nobodys.clear()
        for key_hash in list(self._hashes.get(changed, ())):
            self._remove(key_hash)

    def clear(self) -> None:
        self.generation += 1
        self._nobodys.clear()
        self._entries.clear()
        self._hashes.clear()

    def _remove(self, key_hash: str) -> None:
        account, _ = self._entries.pop(key_hash)
        for owner in _owners(account):
            self._hashes[owner].discard(key_hash)
            if not self._hashes[owner]:
                del self._hashes[owner]


def _owners(account: Account) -> tuple[str, str, str]:
    """What is heard of when one of them changes."""
    return str(account.key_id), str(account.user_id), f"tier:{account.tier}"
