"""The deployment's secrets, newest first: they pepper API key hashes and seal what must be read back."""

import base64
import binascii
import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import ConfigurationError, GatewayError

_VERSION = "v1"
_NONCE_BYTES = 12


class KeyringError(GatewayError):
    """A sealed value cannot be opened; the message says why and never what was in it."""

    def __init__(self, reason: str) -> None:
        Exception.__init__(self, reason)
        self.reason = reason


class _Secret:
    """One secret's id and its subkeys; the secret itself is not kept."""

    __slots__ = ("_peppered", "aead", "kid")

    def __init__(self, secret: str) -> None:
        self.kid = _derive(secret, "id", 8).hex()
        self._peppered = hmac.new(_derive(secret, "api-key pepper", 32), digestmod=hashlib.sha256)
        self.aead = AESGCM(_derive(secret, "sealing", 32))

    def hash(self, key: str) -> str:
        begun = self._peppered.copy()  # the pepper is taken in once, and not for each request
        begun.update(key.encode())
        return begun.hexdigest()


class Keyring:
    """Writes with the newest secret and reads with every one, so that secrets can be rotated.

    Raises:
        ConfigurationError: there is no secret, or an empty one.
    """

    def __init__(self, secrets: tuple[str, ...]) -> None:
        if not secrets or not all(secret.strip() for secret in secrets):
            raise ConfigurationError(["SECRET_KEY: at least one secret is needed, and none may be empty"])
        self._secrets = tuple(_Secret(secret) for secret in secrets)
        self._newest = self._secrets[0]
        self._by_kid = {secret.kid: secret for secret in self._secrets}

    @property
    def kid(self) -> str:
        """The newest secret's id: 16 hexadecimal digits from which the secret cannot be told."""
        return self._newest.kid

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids of all secrets, newest first."""
        return tuple(self._by_kid)

    def hash_api_key(self, key: str) -> tuple[str, str]:
        """The newest secret's id, and HMAC-SHA256 of the key under its pepper in hexadecimal."""
        return self._newest.kid, self._newest.hash(key)

    def api_key_hashes(self, key: str) -> list[str]:
        """The key's hash under every secret, newest first: a stored row may carry any of them."""
        return [secret.hash(key) for secret in self._secrets]

    def seal(self, plaintext: str, table: str, column: str, row_id: UUID | str) -> str:
        """`v1.<kid>.<nonce and ciphertext>`, which opens in that column of that row alone."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._newest.aead.encrypt(nonce, plaintext.encode(), _place(table, column, row_id))
        return f"{_VERSION}.{self._newest.kid}.{_encode(nonce + sealed)}"

    def unseal(self, blob: str, table: str, column: str, row_id: UUID | str) -> str:
        """What `seal` was given.

        Raises:
            KeyringError: the blob is damaged, from another row or under a secret not in the ring.
        """
        kid, sealed = _parse(blob)
        secret = self._by_kid.get(kid)
        if secret is None:
            raise KeyringError(f"sealed under secret {kid}, which SECRET_KEY does not list")
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return secret.aead.decrypt(nonce, ciphertext, _place(table, column, row_id)).decode()
        except InvalidTag as error:
            raise KeyringError(f"the value is damaged or not of {table}.{column} of this row") from error


def _derive(secret: str, purpose: str, length: int) -> bytes:
    hkdf = HKDF(algorithm=SHA256(), length=length, salt=None, info=f"gateway {purpose}".encode())
    return hkdf.derive(secret.encode())


def _place(table: str, column: str, row_id: UUID | str) -> bytes:
    return "\0".join((table, column, str(row_id))).encode()


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _parse(blob: str) -> tuple[str, bytes]:
    parts = blob.split(".")
    if len(parts) != 3 or parts[0] != _VERSION:
        raise KeyringError("not a sealed value of a known version")
    text = parts[2]
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyringError("the sealed value is not base64") from error
    if _encode(sealed) != text:  # the last character has bits that decoding passes over
        raise KeyringError("the sealed value is not base64 as it was written")
    if len(sealed) <= _NONCE_BYTES:
        raise KeyringError("the sealed value is cut short")
    return parts[1], sealed
