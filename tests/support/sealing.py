"""An old secret and a new one, and what is sealed under the old."""

from decimal import Decimal
from uuid import UUID, uuid4

from gateway.db.engine import Database
from gateway.keyring import Keyring
from gateway.providers import actions
from tests.support.factories import add_user

OLD_SECRET, NEW_SECRET = "an-old-secret-of-this-test-long-enough", "a-new-secret-of-this-test-long-enough"
OLD, NEW, BOTH = Keyring((OLD_SECRET,)), Keyring((NEW_SECRET,)), Keyring((NEW_SECRET, OLD_SECRET))
URL = "https://panel.example/api/v2"


async def add_provider(db: Database, name: str, key: str = "k1", url: str = URL) -> UUID:
    async with db.transaction() as tx:
        return await actions.add_provider(tx, OLD, name, url, key, Decimal(25))


async def add_webhook(db: Database, secret: str) -> UUID:
    webhook_id = uuid4()
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO webhooks (id, user_id, url, events, secret) "
            "VALUES ($1, $2, 'https://a.example/?token=clear', '{order.*}', $3)",
            webhook_id,
            await add_user(db),
            OLD.seal(secret, "webhooks", "secret", webhook_id),
        )
    return webhook_id
