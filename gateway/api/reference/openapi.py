"""The description of the native API (OpenAPI 3.1), made from the operations that are served."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import json as msgjson

from gateway import errors
from gateway.api.reference import events
from gateway.api.reference.links import LINKS
from gateway.api.v1 import problems
from gateway.api.v1.formats import PATH_FORMS, Id
from gateway.api.v1.operations import Operation
from gateway.api.v1.problems import Problem

VERSION = "1"
_COMPONENT = "#/components/{}/{}"
_OF_ALL = (
    errors.BadRequest, errors.InvalidKey, errors.AddressNotAllowed, errors.Forbidden, errors.Invalid,
    errors.TooManyRequests, errors.Unavailable,
)  # fmt: skip
_OF_BODIES = (errors.TooLarge, errors.UnsupportedMediaType)
_OF_KEYS = (errors.InProgress, errors.IdempotencyMismatch, errors.Conflict)
_INTRODUCTION = """
JSON over HTTP for scripts and operators. Send `Authorization: Bearer` with an API key.

- Money is text, a decimal with at most eight places; times are RFC 3339 in UTC.
- Every refusal is `application/problem+json`; its `type` is a page that says what to do, and [/problems](/problems)
  lists them all.
- A POST takes an `Idempotency-Key`: it has its effect once, however often it is sent within 24 hours, and the answer
  is given again with `Idempotency-Replayed: true`. A refusal is not kept.
- Lists come a page at a time, of at most `limit` rows; `next`, given as `after`, goes on behind them while rows arrive.
- Reads have an `ETag`, and take it as `If-None-Match`; where PATCH, PUT and DELETE change what a GET shows, they take
  it as `If-Match`.

The panel protocol of the trade is at `POST /api/v2`, and told at [/api](/api).
"""


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole description, ready for JSON."""
    forms = [form for each in operations for form in (each.body, each.query, each.returns) if _is_form(form)]
    unique = list({repr(form): form for form in [*forms, Problem]}.values())
    schemas, components = msgjson.schema_components(unique, ref_template="#/components/schemas/{name}")
    of = dict(zip(map(repr, unique), schemas, strict=True))
    queries = {repr(each.query) for each in operations if each.query is not None}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, of, components)
    named = {name: schema for name, schema in components.items() if name not in _names(queries, of)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Reseller gateway", "version": VERSION, "description": _INTRODUCTION.strip()},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "webhooks": events.webhooks(),
        "components": {
            "schemas": named | events.schemas("#/components/schemas/{name}"),
            "responses": _shared(operations),
            "headers": _HEADERS,
            "parameters": _PARAMETERS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }


def _is_form(form: Any) -> bool:
    return form is not None and form is not bytes


def _names(queries: set[str], of: dict[str, Any]) -> set[str]:
    """Forms of queries, which are told field by field."""
    return {of[query]["$ref"].rpartition("/")[2] for query in queries}


def _operation(operation: Operation, of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": f"{operation.description}\n\nScope: `{operation.scope}`.".strip(),
        "tags": [operation.tag],
        "parameters": list(_parameters(operation, of, components)),
        "responses": _responses(operation, of),
    }
    if operation.body is not None:
        content: dict[str, Any] = {"schema": of[repr(operation.body)]}
        if operation.example is not None:
            content["example"] = operation.example
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _parameters(operation: Operation, of: dict[str, Any], components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": msgjson.schema(PATH_FORMS.get(name, Id))}
    if operation.query is not None:
        form = components[of[repr(operation.query)]["$ref"].rpartition("/")[2]]
        for name, schema in form["properties"].items():
            yield {"name": name, "in": "query", "required": name in form["required"], "schema": _given(schema)}
    names = ["X-Request-Id"]
    if operation.is_idempotent:
        names.append("Idempotency-Key")
    if operation.method == "GET" and operation.media_type == "application/json":
        names.append("If-None-Match")
    if operation.is_conditional:
        names.append("If-Match")
    for name in names:
        yield {"$ref": _COMPONENT.format("parameters", name)}


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field that is left out where it is null."""
    schema = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}
    return schema


def _responses(operation: Operation, of: dict[str, Any]) -> dict[str, Any]:
    headers = ["X-Request-Id", "RateLimit-Policy", "RateLimit", "Cache-Control", "Vary"]
    if operation.method == "GET" and operation.media_type == "application/json":
        headers.append("ETag")
    if operation.is_idempotent:
        headers.append("Idempotency-Replayed")
    success: dict[str, Any] = {"description": operation.summary, "headers": _refer(headers)}
    if operation.returns is bytes:
        success["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    elif operation.returns is not None:
        success["content"] = {operation.media_type: {"schema": of[repr(operation.returns)]}}
    if operation.id in LINKS:
        success["links"] = LINKS[operation.id]
    responses: dict[str, Any] = {str(operation.status): success}
    if "ETag" in headers:
        responses["304"] = {"description": "It is as the caller knows it.", "headers": _refer(headers)}
    for status, kinds in sorted(_refusals(operation).items()):
        responses[str(status)] = {"$ref": _COMPONENT.format("responses", _name(status, kinds))}
    return responses


def _name(status: int, kinds: list[problems.Kind]) -> str:
    return f"{status}-{'-or-'.join(sorted(kind.slug for kind in kinds))}"


def _shared(operations: Sequence[Operation]) -> dict[str, Any]:
    """Every refusal that any operation has, once."""
    return {
        _name(status, kinds): _refusal(status, kinds)
        for operation in operations
        for status, kinds in _refusals(operation).items()
    }


def _refusals(operation: Operation) -> dict[int, list[problems.Kind]]:
    refusals: list[type[errors.GatewayError] | problems.Kind] = [*_OF_ALL, *operation.refuses]
    if operation.method != "GET":
        refusals += _OF_BODIES
    if operation.is_idempotent:
        refusals += _OF_KEYS
    if "{" in operation.path:
        refusals.append(errors.NotFound)
    if operation.is_conditional:
        refusals.append(errors.ChangedMeanwhile)
    found: dict[int, list[problems.Kind]] = {}
    for each in [*refusals, problems.INTERNAL]:
        kind = each if isinstance(each, problems.Kind) else problems.kind_of(each)
        if kind not in found.setdefault(kind.status, []):
            found[kind.status].append(kind)
    return found


def _refusal(status: int, kinds: list[problems.Kind]) -> dict[str, Any]:
    headers = ["X-Request-Id", "Cache-Control"]
    headers += {401: ["WWW-Authenticate"], 500: []}.get(status, ["RateLimit-Policy", "RateLimit"])
    headers += ["Retry-After"] if status == 429 else []
    schema = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"type": {"enum": [kind.type for kind in kinds]}, "status": {"const": status}},
    }
    examples = {
        kind.slug: {"summary": kind.title, "value": {"type": kind.type, "title": kind.title, "status": status}}
        for kind in kinds
    }
    return {
        "description": "\n".join(f"- [{kind.title}]({kind.type}): {kind.help}" for kind in kinds),
        "headers": _refer(headers),
        "content": {problems.MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }


def _refer(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": _COMPONENT.format("headers", name)} for name in names}


def _header(description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": "string", **schema}}


_HEADERS = {
    "X-Request-Id": _header("Names the request in our log; the caller's own where he gave one.", required=True),
    "RateLimit-Policy": _header("The key's limit: requests (`q`) in seconds (`w`).", examples=['"key";q=600;w=60']),
    "RateLimit": _header("Requests left (`r`), and in how many seconds one more comes (`t`)."),
    "Retry-After": _header("Seconds to wait.", required=True, pattern="^[0-9]+$"),
    "ETag": _header("The tag of this very answer.", required=True),
    "Cache-Control": _header("A read is the caller's own, and asked for anew each time; of all else nothing is kept."),
    "Vary": _header("An answer depends on these."),
    "Idempotency-Replayed": _header("`true` where the answer is that of the first request.", const="true"),
    "WWW-Authenticate": _header("`Bearer`.", required=True, const="Bearer"),
}


def _parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


_PARAMETERS = {
    "X-Request-Id": _parameter("X-Request-Id", "A name for this request, of up to 64 letters, digits, - and _."),
    "Idempotency-Key": _parameter(
        "Idempotency-Key",
        "Any text that is of this request alone, such as a UUID: the request then has its effect once.",
        minLength=1,
        maxLength=255,
        pattern=r"^[\x21-\x7e]+$",
    ),
    "If-None-Match": _parameter("If-None-Match", "The tag of an answer that the caller has."),
    "If-Match": _parameter("If-Match", "The tag of what the caller means to change."),
}


def encoded(operations: Sequence[Operation]) -> bytes:
    """The description as JSON."""
    return msgspec.json.encode(describe(operations))
