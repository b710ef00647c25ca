"""What is done to providers: added, paused, given another key."""

from decimal import Decimal
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.db.engine import Transaction
from gateway.errors import NotFound
from gateway.keyring import Keyring
from gateway.providers import store
from gateway.providers.model import Provider, check_api_key, check_dialect, check_markup, check_name, check_url
from gateway.providers.store import SealedProvider

_TABLE, _COLUMN = "providers", "api_key_encrypted"


async def add_provider(
    tx: Transaction,
    keyring: Keyring,
    name: str,
    url: str,
    api_key: str,
    markup_percent: Decimal,
    priority: int = 0,
    *,
    currency: str = "USD",
    max_in_flight: int | None = None,
    dialect: str = "standard",
    exchange_rate: Decimal = Decimal(1),
) -> UUID:
    """The new provider's id. Its key is stored sealed, and opens in its own row alone.

    `exchange_rate` is what one unit of its currency is in ours.

    Raises:
        Conflict: the name is taken, or the URL, key, markup, currency, rate or dialect is not one.
    """
    provider_id = uuid7()
    await store.insert(
        tx,
        provider_id,
        check_name(name),
        check_url(url),
        keyring.seal(check_api_key(api_key), _TABLE, _COLUMN, provider_id),
        currency=currency,
        markup_percent=check_markup(markup_percent),
        priority=priority,
        max_in_flight=max_in_flight,
        dialect=check_dialect(dialect),
        exchange_rate=exchange_rate,
    )
    return provider_id


async def get_provider(tx: Transaction, keyring: Keyring, name: str) -> Provider:
    """The provider of that name.

    Raises:
        NotFound: no such provider.
        KeyringError: its key was sealed under a secret that is not listed any more.
    """
    row = await store.find_by_name(tx, name.strip())
    if row is None:
        raise NotFound(f"provider {name}")
    return unseal(keyring, row)


async def pause(tx: Transaction, provider_id: UUID, reason: str, seconds: float) -> None:
    """Send it no orders for that long; a longer pause that is under way stays. Polls go on.

    Raises:
        NotFound: no such provider.
    """
    _found(await store.update_pause(tx, provider_id, reason, seconds), provider_id)


async def resume(tx: Transaction, provider_id: UUID) -> None:
    """Raises NotFound where there is no such provider."""
    _found(await store.clear_pause(tx, provider_id), provider_id)


async def set_probes(tx: Transaction, provider_id: UUID, probes: bool) -> None:
    """Whether unknown orders may be looked for there by asking for the status of ids near theirs.

    Raises:
        NotFound: no such provider.
    """
    _found(await store.update_probes(tx, provider_id, probes), provider_id)


async def set_api_key(tx: Transaction, keyring: Keyring, provider_id: UUID, api_key: str) -> None:
    """Raises NotFound where there is no such provider, Conflict where that is not a key."""
    sealed = keyring.seal(check_api_key(api_key), _TABLE, _COLUMN, provider_id)
    _found(await store.update_key(tx, provider_id, sealed), provider_id)


def unseal(keyring: Keyring, row: SealedProvider) -> Provider:
    """Raises KeyringError where the key cannot be opened."""
    return Provider(
        row.id,
        row.name,
        row.api_endpoint,
        keyring.unseal(row.api_key_encrypted, _TABLE, _COLUMN, row.id),
        row.currency,
        row.markup_percent,
        row.priority,
        row.is_active,
        row.max_in_flight,
        row.paused_until,
        row.dialect,
    )


def _found(done: bool, provider_id: UUID) -> None:
    if not done:
        raise NotFound(f"provider {provider_id}")
