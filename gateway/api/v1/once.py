"""`Idempotency-Key`: the effect once, and its reply again, saved in the transaction of the effect."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from gateway.api.v1.calls import Call, Reply
from gateway.db.engine import Database, Transaction
from gateway.errors import Conflict, IdempotencyMismatch, InProgress, Invalid
from gateway.keyring import KeyringError
from gateway.orders.replays import store as replays
from gateway.orders.replays.model import KEY_LIFETIME_S, Replay

HEADER = "idempotency-key"
REPLAYED = {"Idempotency-Replayed": "true"}

_FORM = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def replay_of(call: Call, part: str = "") -> Replay | None:
    """How the request, or one part of it, is remembered; None where it has no key.

    Raises:
        Invalid: the key is not 1 to 255 printable characters of ASCII.
    """
    key = call.headers.get(HEADER)
    if key is None:
        return None
    if not _FORM.fullmatch(key):
        raise Invalid([("header.Idempotency-Key", "it is not 1 to 255 printable characters of ASCII")])
    return Replay(f"v1:{hashlib.sha256(key.encode()).hexdigest()}{part}", call.fields_hash(), KEY_LIFETIME_S)


async def once(call: Call, action: Callable[[Transaction], Awaitable[Reply]], db: Database | None = None) -> Reply:
    """Do it in a transaction, or answer what the same request was answered before.

    Without a key it is simply done. A refusal undoes all, the key's row too: the same key may try again.
    An answer is for the API key that asked: it may hold a secret that another one of the user may not have.

    Raises:
        IdempotencyMismatch: the key came with another request before.
        InProgress: the same request is being answered right now.
        Conflict: it was answered before, with what can no longer be shown.
    """
    replay = _of_this_key(call, replay_of(call))
    async with (db or call.db).transaction() as tx:
        if replay is None:
            return await action(tx)
        owner = call.account.user_id, replay.key
        if not await replays.claim(tx, {owner: (replay, None)}):
            return await _saved(call, tx, owner, replay)
        reply = await action(tx)
        body = reply.encoded()
        assert isinstance(body, bytes), "a stream cannot be saved"
        sealed = call.parts.keyring.seal(body.decode(), "idempotency_keys", "reply", _place(owner))
        await replays.keep(tx, owner, reply.status, sealed)
        return Reply(body, reply.status, reply.headers, reply.media_type)


def _of_this_key(call: Call, replay: Replay | None) -> Replay | None:
    if replay is None:
        return None
    fields_hash = hashlib.sha256(replay.fields_hash + call.account.key_id.bytes).digest()
    return msgspec.structs.replace(replay, fields_hash=fields_hash)


async def remember(call: Call, replay: Replay) -> bool:
    """Keep what the key stands for, without an effect; whether it stood for that before.

    Raises:
        IdempotencyMismatch: it stands for something else.
        InProgress: the same request is at this very point.
    """
    owner = call.account.user_id, replay.key
    async with call.db.transaction() as tx:
        if await replays.claim(tx, {owner: (replay, None)}):
            return False
        kept = await replays.find_kept(tx, owner)
    if kept is None or kept.fields_hash != replay.fields_hash:
        raise IdempotencyMismatch
    return True


async def _saved(call: Call, tx: Transaction, owner: replays.Owner, replay: Replay) -> Reply:
    kept = await replays.find_kept(tx, owner)
    if kept is None:  # it expired this very moment
        raise InProgress
    if kept.fields_hash != replay.fields_hash or kept.reply is None or kept.reply_status is None:
        raise IdempotencyMismatch
    try:
        body = call.parts.keyring.unseal(kept.reply, "idempotency_keys", "reply", _place(owner))
    except KeyringError as error:
        raise Conflict("this was done before, and the answer of then can no longer be shown") from error
    return Reply(body.encode(), kept.reply_status, REPLAYED)


def _place(owner: tuple[UUID, str]) -> str:
    return f"{owner[0]} {owner[1]}"
