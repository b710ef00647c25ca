"""Telling what is to be told through one channel: claim, send with no transaction open, record."""

from datetime import timedelta

from gateway.alerts import store as alerts
from gateway.alerts.delivery import store
from gateway.alerts.delivery.channels import Channel, DeliveryFailed
from gateway.alerts.delivery.digest import News, compose
from gateway.alerts.store import Alert
from gateway.db.engine import Database
from gateway.logs import Logger

log = Logger(__name__)

GAP_S = 60.0
"""At least so long between two messages through a channel; what arises meanwhile goes into one."""
LEASE_S = 120.0
"""Longer than any send: a process that ends in it leaves the message to another, which repeats it."""


async def tell(db: Database, channel: Channel, *, repeat_s: float, gap_s: float = GAP_S) -> int:
    """How many alerts the receiver was told of now, in one message.

    At least once: told is written after the receiver took it. A channel that fails raises an alert of
    its own, which the others tell and which clears with the next success.

    Raises:
        Unavailable: the database does not answer; what was sent may be sent again.
    """
    async with db.transaction() as tx:
        news = await store.claim(
            tx, channel.name, timedelta(seconds=repeat_s), timedelta(seconds=gap_s), timedelta(seconds=LEASE_S)
        )
    if not news:
        return 0
    try:
        await channel.send(compose(news))
    except DeliveryFailed as error:
        await _fail(db, channel, news, str(error))
        return 0
    except Exception as error:  # of any library that sends: the news is released and told again
        log.exception("a channel of alerts broke", channel=channel.name)
        await _fail(db, channel, news, type(error).__name__)
        return 0
    async with db.transaction() as tx:
        await store.mark_told(tx, channel.name, news)
        await alerts.clear(tx, store.UNDELIVERED, channel.name)
        await store.purge(tx)
    log.info("alerts told", channel=channel.name, alerts=len(news))
    return len(news)


async def _fail(db: Database, channel: Channel, news: list[News], reason: str) -> None:
    log.warning("alerts not told", channel=channel.name, alerts=len(news), reason=reason)
    async with db.transaction() as tx:
        await store.release(tx, channel.name, news)
        message = f"alerts cannot be told by {channel.name}: {reason}"
        await alerts.raise_(tx, [Alert(store.UNDELIVERED, channel.name, message)])
