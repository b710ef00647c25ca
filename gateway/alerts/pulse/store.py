"""SQL of the pulse: a row a process, written while it lives."""

import os
import socket
from typing import Literal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from gateway.db.engine import Transaction


class Pulse(msgspec.Struct, frozen=True):
    """This process, as the others see it."""

    id: UUID
    kind: Literal["serve", "work"]
    host: str
    pid: int


def pulse_of(kind: Literal["serve", "work"]) -> Pulse:
    return Pulse(uuid7(), kind, socket.gethostname()[:255], os.getpid())


async def beat(tx: Transaction, pulse: Pulse) -> None:
    """Say that it lives, and forget those that have not for a day, save the worker that was seen last.

    After a break of 30 seconds, in which it could not tell who else lives, it counts as started anew.
    """
    await tx.execute(
        """
        INSERT INTO processes AS p (id, kind, host, pid) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO UPDATE SET seen_at = now(),
          started_at = CASE WHEN p.seen_at < now() - interval '30 seconds' THEN now() ELSE p.started_at END
        """,
        pulse.id,
        pulse.kind,
        pulse.host,
        pulse.pid,
    )
    await tx.execute(
        """
        DELETE FROM processes WHERE id IN (
          SELECT id FROM processes WHERE seen_at < now() - interval '1 day' AND id IS DISTINCT FROM (
                   SELECT id FROM processes WHERE kind = 'work' ORDER BY seen_at DESC LIMIT 1)
             FOR UPDATE SKIP LOCKED)
        """
    )


async def leave(tx: Transaction, pulse: Pulse) -> None:
    await tx.execute("DELETE FROM processes WHERE id = $1", pulse.id)


async def has_turn(tx: Transaction, pulse: Pulse) -> bool:
    """Whether it is the oldest process that lives, workers first: what one does for all is done by that one."""
    first: bool = await tx.fetchval(
        """
        SELECT NOT EXISTS (SELECT FROM processes WHERE seen_at > now() - interval '30 seconds'
                              AND (kind <> 'work', id) < ($2::text <> 'work', $1::uuid))
        """,
        pulse.id,
        pulse.kind,
    )
    return first
