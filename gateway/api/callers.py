"""Who calls: a key becomes an account, and one request of its limit is spent. The same for both APIs."""

from gateway.accounts.directory import Directory
from gateway.accounts.model import Account
from gateway.accounts.usage import UsageMarks
from gateway.errors import InvalidKey, TooManyRequests, Unavailable
from gateway.ratelimit.limiter import RateLimiter
from gateway.ratelimit.model import Verdict, headers


class Callers:
    """Knows whose a key is, counts what it asks for, and what comes with wrong keys from an address."""

    def __init__(self, directory: Directory, limiter: RateLimiter, usage: UsageMarks) -> None:
        self._directory = directory
        self._limiter = limiter
        self._usage = usage

    async def identify(self, key: str, address: str) -> Account:
        """Whose key it is, as `enter`."""
        account, _ = await self.enter(key, address)
        return account

    async def enter(self, key: str, address: str) -> tuple[Account, Verdict]:
        """Whose key it is, for one request of its limit; a wrong key costs the address one instead.

        Raises:
            InvalidKey: it is nobody's.
            TooManyRequests: of the key, or of wrong keys from the address.
            Unavailable: the database does not answer; `placed` is False, since nothing was begun.
        """
        try:
            account = await self._directory.get_account(key)
        except InvalidKey:
            _check(await self._limiter.spend_wrong_key(address))
            raise
        except Unavailable as error:
            raise Unavailable(error.what, placed=False) from error
        verdict = await self._limiter.spend(str(account.key_id), account.tier)
        _check(verdict)
        self._usage.mark(account.key_id)
        return account, verdict


def _check(verdict: Verdict) -> None:
    if not verdict.allowed:
        raise TooManyRequests(headers(verdict))
