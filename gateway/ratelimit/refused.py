"""Until when those are refused whose limit is reached: what comes sooner needs no question to Redis."""

from collections.abc import Callable

from limits import RateLimitItem

from gateway.ratelimit.model import Verdict, verdict

_KEPT_MAX = 20_000


class Refused:
    """What a refusal says of the time after it.

    In a sliding window nothing becomes free before the moment that the refusal named, whoever asks: so who comes sooner
    has the same answer. A limit that was changed is another one, which has not refused anybody yet; so is one that only
    equals it, as `limits` has it of two kinds with the same amount.
    """

    def __init__(self, clock: Callable[[], float], kept_max: int = _KEPT_MAX) -> None:
        self._clock = clock
        self._kept_max = kept_max
        self._until: dict[str, tuple[RateLimitItem, float]] = {}

    def note(self, item: RateLimitItem, identity: str, verdict: Verdict) -> None:
        """Remember what was answered. Forgetting all is the bound: it costs a question each."""
        if not verdict.allowed:
            if len(self._until) >= self._kept_max:
                self._until.clear()
            self._until[identity] = (item, self._clock() + verdict.reset_in_s)

    def find(self, item: RateLimitItem, identity: str) -> Verdict | None:
        """The refusal that still holds; None where Redis is to be asked."""
        kept = self._until.get(identity)
        if kept is None:
            return None
        refused, until = kept
        left_s = until - self._clock()
        if left_s <= 0 or refused is not item:
            del self._until[identity]
            return None
        return verdict(False, item.amount, 0, left_s)
