"""`/docs`, `/problems/…` and `/schema/…`: for people in a browser and for machines, from our own address alone."""

import functools
import html
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from gateway.api.reference import events
from gateway.api.reference.openapi import encoded
from gateway.api.v1 import problems
from gateway.api.v1.conditional import etag_of, matches
from gateway.api.v1.operations import tell
from gateway.api.v1.router import OPERATIONS

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
"""Of the package swagger-ui-py, which has Swagger UI's own files."""
_START = b"""SwaggerUIBundle({
  url: "/schema/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  defaultModelsExpandDepth: -1
});
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/docs/favicon-32x32.png">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_PLAIN = '<link rel="stylesheet" href="/docs/plain.css">'
_PLAIN_CSS = b"body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}\n"
_OWN = {"start.js": (_START, "text/javascript"), "plain.css": (_PLAIN_CSS, "text/css")}


class ProblemType(msgspec.Struct, frozen=True):
    """A kind of problem for machines: what its page says."""

    type: str
    title: str
    status: int
    help: str


class ProblemTypes(msgspec.Struct, frozen=True):
    """All kinds of problems, by their names."""

    data: list[ProblemType]


@get("/docs")
async def show_docs() -> Response[bytes]:
    """The native API in Swagger UI, where each operation can be tried."""
    head = '<link rel="stylesheet" href="/docs/swagger-ui.css">'
    body = (
        '<div id="docs"></div>\n<script src="/docs/swagger-ui-bundle.js"></script>\n'
        '<script src="/docs/start.js"></script>'
    )
    return _html("The native API", head, body)


@get("/docs/{name:str}")
async def get_asset(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """A file of that page."""
    if name in _OWN:
        return _tagged(request, *_OWN[name])
    if name not in _ASSETS:
        return tell(problems.plain(problems.NOT_FOUND))
    return _tagged(request, _asset(name), _ASSETS[name])


@get("/schema/openapi.json")
async def get_description(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The description of the native API, OpenAPI 3.1."""
    return _tagged(request, _description(), "application/json")


@get("/schema/events.json")
async def get_events(request: Request[Any, Any, Any]) -> Response[bytes]:
    """What webhooks carry, as JSON Schema."""
    return _tagged(request, _events(), "application/schema+json")


@get("/problems")
async def list_problems(request: Request[Any, Any, Any]) -> Response[bytes]:
    """All kinds of problems: a page, or JSON where that is asked for."""
    if _prefers_json(request):
        return _json(ProblemTypes([_told(kind) for kind in problems.all_kinds()]))
    rows = "\n".join(
        f'<li><a href="{kind.type}">{html.escape(kind.title)}</a> ({kind.status})</li>' for kind in problems.all_kinds()
    )
    return _html("Problems", _PLAIN, f"<h1>Problems</h1>\n<ul>\n{rows}\n</ul>")


@get("/problems/{slug:str}")
async def show_problem(slug: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """What a kind of problem is, and what to do: a page, or JSON where that is asked for."""
    kind = next((kind for kind in problems.all_kinds() if kind.slug == slug), None)
    if kind is None:
        return tell(problems.plain(problems.NOT_FOUND))
    if _prefers_json(request):
        return _json(_told(kind))
    body = (
        f"<h1>{html.escape(kind.title)}</h1>\n<p>HTTP {kind.status}, <code>{kind.type}</code></p>\n"
        f'<p>{html.escape(kind.help)}</p>\n<p><a href="/problems">All problems</a>, <a href="/docs">the API</a></p>'
    )
    return _html(kind.title, _PLAIN, body)


def _prefers_json(request: Request[Any, Any, Any]) -> bool:
    """Browsers ask for HTML; who asks for JSON and not for that is a program."""
    accept = request.headers.get("accept", "").lower()
    return "json" in accept and "html" not in accept


def _told(kind: problems.Kind) -> ProblemType:
    return ProblemType(kind.type, kind.title, kind.status, kind.help)


def _json(value: msgspec.Struct) -> Response[bytes]:
    return Response(msgspec.json.encode(value), headers={"Vary": "Accept"}, media_type="application/json")


@functools.cache
def _description() -> bytes:
    return encoded(OPERATIONS)


@functools.cache
def _events() -> bytes:
    return events.encoded()


@functools.cache
def _asset(name: str) -> bytes:
    return (files("swagger_ui") / "static" / name).read_bytes()


def _html(title: str, head: str, body: str) -> Response[bytes]:
    page = _PAGE.format(title=html.escape(title), head=head, body=body).encode()
    return Response(page, headers={"Vary": "Accept", **_HEADERS}, media_type="text/html")


def _tagged(request: Request[Any, Any, Any], body: bytes, media_type: str) -> Response[bytes]:
    headers = {"ETag": etag_of(body), "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    return Response(body, headers=headers, media_type=media_type)


HANDLERS: list[Any] = [show_docs, get_asset, get_description, get_events, list_problems, show_problem]
