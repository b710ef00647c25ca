"""The answer to one spent request, its headers, and the breaker that keeps a dead server off the path."""

import functools
import ipaddress
from collections.abc import Callable
from math import floor

import msgspec

WINDOW_S = 60
_POLICY = "key"
_IPV6_SITE_BITS = 64
_SITES_MAX = 4096


class Verdict(msgspec.Struct, frozen=True):
    """Whether the request may go on. `reset_after_s` is when one more becomes possible; `retry_after_s`
    is the same for a refused request and 0 for an allowed one. Before `reset_in_s` nobody else gets through either,
    which is 0 where that is not known."""

    allowed: bool
    limit: int
    remaining: int
    reset_after_s: int
    retry_after_s: int
    reset_in_s: float = 0.0


def verdict(allowed: bool, limit: int, remaining: int, reset_in_s: float) -> Verdict:
    """Whole seconds, rounded past the moment, so that who waits that long is not refused again."""
    reset_after_s = min(max(floor(reset_in_s) + 1, 1), WINDOW_S) if remaining < limit else 0
    return Verdict(
        allowed=allowed,
        limit=limit,
        remaining=max(remaining, 0) if allowed else 0,
        reset_after_s=reset_after_s,
        retry_after_s=0 if allowed else max(reset_after_s, 1),
        reset_in_s=0.0 if allowed or remaining > 0 else reset_in_s,  # it may have come free since it was refused
    )


def headers(verdict: Verdict) -> dict[str, str]:
    """The IETF's RateLimit headers, and `Retry-After` where the request is refused."""
    fields = {
        "RateLimit-Policy": f'"{_POLICY}";q={verdict.limit};w={WINDOW_S}',
        "RateLimit": f'"{_POLICY}";r={verdict.remaining};t={verdict.reset_after_s}',
    }
    if not verdict.allowed:
        fields["Retry-After"] = str(verdict.retry_after_s)
    return fields


@functools.lru_cache(maxsize=_SITES_MAX)
def site_of(address: str) -> str:
    """What an address is counted under: an IPv6 caller owns a whole /64, so the /64 is the caller."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((int(ip), _IPV6_SITE_BITS), strict=False))


class Breaker:
    """Open after `threshold` failures in a row; then one probe at a time, `cool_down_s` apart.

    Written by hand, since purgatory's half-open state lets every waiting call through: with a
    frozen server each of them would wait out its time limit, and the point is that one does.
    """

    def __init__(self, threshold: int, cool_down_s: float, clock: Callable[[], float]) -> None:
        self._threshold = threshold
        self._cool_down_s = cool_down_s
        self._clock = clock
        self._failures = 0
        self._retry_at: float | None = None

    @property
    def closed(self) -> bool:
        return self._retry_at is None

    def admits(self) -> bool:
        """Whether this call may go through. While open, a True makes the caller the probe."""
        if self._retry_at is None:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._cool_down_s
        return True

    def succeeded(self) -> bool:
        """True when this closed the breaker."""
        recovered = self._retry_at is not None
        self._failures = 0
        self._retry_at = None
        return recovered

    def failed(self) -> bool:
        """True when this opened the breaker."""
        self._failures += 1
        if self._failures < self._threshold:
            return False
        opened = self._retry_at is None
        self._retry_at = self._clock() + self._cool_down_s
        return opened
