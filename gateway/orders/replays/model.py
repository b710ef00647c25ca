"""What makes two requests the same one (protocol §6); pure."""

import hashlib
from collections.abc import Mapping

import msgspec

from gateway.accounts.model import Account

KEY_LIFETIME_S = 86_400
"""How long an idempotency key stands for its first order."""


class Replay(msgspec.Struct, frozen=True):
    """Under which key of its user a request is remembered, and what it said."""

    key: str
    fields_hash: bytes
    lifetime_s: int


def replay_of(account: Account, service: str, fields: Mapping[str, str]) -> Replay | None:
    """How an `add` is remembered: by its idempotency key, else by its fields where the API key has a replay window.

    `fields` are the request's own, junk left out, so that what the catalogue does meanwhile does not count.
    """
    key = fields.get("idempotency_key")
    if key is None and account.replay_window_s is None:
        return None
    said = {name: value for name, value in fields.items() if name != "idempotency_key"}
    text = [service.strip(), *(part.strip() for name in sorted(said) for part in (name, said[name]))]
    fields_hash = hashlib.sha256(msgspec.json.encode(text)).digest()
    if key is not None:
        return Replay(f"key:{key}", fields_hash, KEY_LIFETIME_S)
    assert account.replay_window_s is not None, "else there is a key"
    return Replay(f"window:{account.key_id.hex}:{fields_hash.hex()}", fields_hash, account.replay_window_s)
