"""Every event that a test causes has the form that is told of its type."""

import functools
from typing import Any

import jsonschema_rs
import msgspec

from gateway.api.reference.events import encoded
from gateway.db.engine import Database
from gateway.webhooks.model import body_of_event

MOST = 200


async def assert_events_fit(db: Database) -> None:
    """Those that are there; of many the last."""
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT * FROM events ORDER BY id DESC LIMIT $1", MOST)
    for row in rows:
        check(msgspec.json.decode(msgspec.json.encode(body_of_event(row))))


def check(message: Any) -> None:
    """A message of a webhook against the schema of its type."""
    validator_of(message["type"]).validate(message)


@functools.cache
def validator_of(kind: str) -> Any:
    described = msgspec.json.decode(encoded())
    assert kind in described["$defs"], kind
    return jsonschema_rs.validator_for(
        {"$ref": f"#/$defs/{kind}", "$defs": _closed(described["$defs"])}, validate_formats=True
    )


def _closed(forms: dict[str, Any]) -> dict[str, Any]:
    """Without a field that is not told of."""
    return {name: {"additionalProperties": False, **form} for name, form in forms.items()}
