"""What webhooks carry, as JSON Schema: by itself, and as the `webhooks` of the description."""

from typing import Any

import msgspec
from msgspec import json as msgjson

from gateway.events.payloads import FORMS, VERSION
from gateway.webhooks.model import Message

_WEBHOOK_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_TAKEN = {"2XX": {"description": "Taken."}, "410": {"description": "The webhook is switched off."}}


def schemas(ref_template: str) -> dict[str, Any]:
    """The message of each type under the type's name, and the forms of their `data` under theirs."""
    forms = list(dict.fromkeys(FORMS.values()))
    references, components = msgjson.schema_components([*forms, Message], ref_template=ref_template)
    of = dict(zip(forms, references[:-1], strict=True))
    message = components.pop("Message")
    return {kind: _message(message, kind, of[form]) for kind, form in FORMS.items()} | components


def _message(message: dict[str, Any], kind: str, data: dict[str, Any]) -> dict[str, Any]:
    family = kind.partition(".")[0]
    known = {
        "type": {"const": kind},
        "version": {"const": VERSION},
        "sequence": {"type": "integer", "minimum": 1},
        "timestamp": {"type": "string", "format": "date-time"},
        "object": {
            "type": "object",
            "properties": {
                "type": {"const": "wallet" if family == "balance" else family},
                "id": {"type": "string", "format": "uuid"},
            },
            "required": ["type", "id"],
        },
        "data": data,
    }
    return {**message, "title": kind, "properties": {**message["properties"], **known}}


def webhooks() -> dict[str, Any]:
    """Of the description (OpenAPI 3.1): a call for each type of event; their schemas are among its components."""
    headers = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in _WEBHOOK_HEADERS
    ]
    return {
        kind: {
            "post": {
                "summary": kind,
                "description": form.__doc__ or "",
                "parameters": headers,
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}},
                },
                "responses": _TAKEN,
            }
        }
        for kind, form in FORMS.items()
    }


def encoded() -> bytes:
    """The schema of every message, by itself."""
    return msgspec.json.encode(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Webhook messages",
            "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in FORMS],
            "$defs": schemas("#/$defs/{name}"),
        }
    )
