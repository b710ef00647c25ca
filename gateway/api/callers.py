"""Who calls: a key becomes an account, and one request of its limit is spent. The same for both APIs."""

import functools
from collections.abc import Mapping
from uuid import UUID

from gateway.accounts.addresses import is_allowed
from gateway.accounts.directory import Directory
from gateway.accounts.model import Account
from gateway.accounts.usage import UsageMarks
from gateway.errors import AddressNotAllowed, InvalidKey, TooManyRequests, Unavailable
from gateway.ratelimit.limiter import RateLimiter
from gateway.ratelimit.model import Verdict, headers

_KEYS_KNOWN_MAX = 20_000


@functools.lru_cache(maxsize=_KEYS_KNOWN_MAX)
def _identity(key_id: UUID) -> str:
    """What a key's requests are counted under. Remembered, since a UUID takes its time to be written."""
    return str(key_id)


class Callers:
    """Knows whose a key is, counts what it asks for, and what comes with wrong keys from an address."""

    def __init__(
        self, directory: Directory, limiter: RateLimiter, usage: UsageMarks, limits: Mapping[str, int]
    ) -> None:
        """`limits` are the settings': requests a minute of the tiers that have no limit of their own."""
        self._directory = directory
        self._limiter = limiter
        self._usage = usage
        self._limits = limits

    async def identify(self, key: str, address: str) -> Account:
        """Whose key it is, as `enter`, for callers who are told nothing of a limit that is not reached."""
        account = await self._find(key, address)
        refusal = await self._limiter.admit(_identity(account.key_id), self._limit_of(account))
        if refusal is not None:
            raise TooManyRequests(headers(refusal))
        self._usage.mark(account.key_id)
        return account

    async def enter(self, key: str, address: str) -> tuple[Account, Verdict]:
        """Whose key it is, for one request of its limit; a wrong key costs the address one instead.

        So does a right one from where it may not be used: who stole it cannot use up its owner's limit.

        Raises:
            InvalidKey: it is nobody's.
            AddressNotAllowed: it may not be used from there.
            TooManyRequests: of the key, or of wrong keys from the address.
            Unavailable: the database does not answer; `placed` is False, since nothing was begun.
        """
        account = await self._find(key, address)
        verdict = await self._limiter.spend(_identity(account.key_id), self._limit_of(account))
        if not verdict.allowed:
            raise TooManyRequests(headers(verdict))
        self._usage.mark(account.key_id)
        return account, verdict

    async def _find(self, key: str, address: str) -> Account:
        try:
            account = await self._directory.get_account(key)
            if not is_allowed(address, account.allowed_addresses):
                raise AddressNotAllowed
        except (InvalidKey, AddressNotAllowed):
            refusal = await self._limiter.admit_wrong_key(address)
            if refusal is not None:
                raise TooManyRequests(headers(refusal)) from None
            raise
        except Unavailable as error:
            raise Unavailable(error.what, placed=False) from error
        return account

    def _limit_of(self, account: Account) -> int:
        return self._limits[account.tier] if account.requests_per_minute is None else account.requests_per_minute
