"""From a described operation to a route: who calls, what is asked, the answer with its headers, every refusal."""

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, get_type_hints

import msgspec
import structlog
from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from compat.errors import PanelError
from gateway import errors
from gateway.accounts.scopes import Scope, require_scope
from gateway.api.v1 import problems
from gateway.api.v1.calls import JSON, Call, Handler, Parts, Reply
from gateway.api.v1.conditional import etag_of, matches
from gateway.api.v1.reading import Nothing, headers_of, read_body, read_nothing, read_query
from gateway.errors import GatewayError, TooManyRequests
from gateway.ratelimit.model import headers as limit_headers

PREFIX = "/v1"
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_OF_READS = "private, no-cache"
NOT_KEPT = "no-store"
"""Of changes, whose answers may show a secret, and of refusals, some of which a cache would keep if not told."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as the router serves it and the description of the API tells it.

    `body` and `query` are the forms of what comes in, `returns` that of what goes out, None for nothing.
    `refuses` are the refusals of its own, besides those that every operation has. `example` is a body that can be
    sent as it stands.
    """

    id: str
    method: Method
    path: str
    scope: Scope
    tag: str
    summary: str
    description: str
    body: Any
    query: Any
    returns: Any
    status: int
    media_type: str
    refuses: tuple[type[GatewayError] | problems.Kind, ...]
    example: dict[str, Any] | None
    handler: Handler

    @property
    def is_idempotent(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.method == "POST"

    @property
    def is_conditional(self) -> bool:
        """Whether it takes an `If-Match`: whether its handler looks at it."""
        return Call.check_unchanged.__name__ in self.handler.__code__.co_names


def operation(
    method: Method,
    path: str,
    *,
    scope: Scope,
    tag: str,
    returns: Any,
    status: int = 200,
    media_type: str = JSON,
    refuses: tuple[type[GatewayError] | problems.Kind, ...] = (),
    example: dict[str, Any] | None = None,
) -> Callable[[Handler], Operation]:
    """Describe the decorated handler; its `body` and `query` parameters are read in the form of their annotations.

    The first line of its docstring is the summary, the rest the description; its name is the operation's id.
    """

    def describe(handler: Handler) -> Operation:
        forms = get_type_hints(handler, include_extras=True)
        summary, _, description = (inspect.getdoc(handler) or "").partition("\n")
        return Operation(
            id=handler.__name__,
            method=method,
            path=PREFIX + path,
            scope=scope,
            tag=tag,
            summary=summary.rstrip("."),
            description=" ".join(description.split()),
            body=forms.get("body"),
            query=forms.get("query"),
            returns=returns,
            status=status,
            media_type=media_type,
            refuses=refuses,
            example=example,
            handler=handler,
        )

    return describe


def route(operation: Operation) -> HTTPRouteHandler:
    """What Litestar serves the operation by."""

    async def endpoint(request: Request[Any, Any, Any]) -> Response[Any]:
        return await _answer(operation, request)

    path = operation.path.removeprefix(PREFIX).replace("}", ":str}")
    return HTTPRouteHandler(path, http_method=operation.method, name=operation.id, status_code=200)(endpoint)


async def _answer(operation: Operation, request: Request[Any, Any, Any]) -> Response[Any]:
    limits: dict[str, str] = {}
    try:
        call = await _enter(operation, request, limits)
        given: dict[str, Any] = {}
        query = request.scope["query_string"].decode("latin-1")
        if operation.query is not None:
            given["query"] = read_query(query, operation.query)
        else:
            read_query(query, Nothing)
        if operation.body is not None:
            given["body"] = await read_body(request, call.headers, operation.body)
            call = msgspec.structs.replace(call, body=given["body"])
        elif operation.method != "GET":
            await read_nothing(request, call.headers)
        response = await _respond(call, await operation.handler(call, **given))
    except (GatewayError, PanelError) as refusal:
        response = refuse(refusal)
    for name, value in limits.items():
        response.headers.setdefault(name, value)
    return response


async def _enter(operation: Operation, request: Request[Any, Any, Any], limits: dict[str, str]) -> Call:
    """Whose request it is, and whether his key may do this; `limits` are filled with what is told of his limit."""
    parts: Parts = request.app.state.parts
    headers = headers_of(request)
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    address = request.client.host if request.client else ""
    account, verdict = await parts.callers.enter(key.strip() if scheme.casefold() == "bearer" else "", address)
    limits |= limit_headers(verdict)
    require_scope(account, operation.scope)
    return Call(
        parts=parts,
        account=account,
        operation=operation.id,
        method=operation.method,
        path=request.scope["path"],
        path_parameters=request.path_params,
        headers=headers,
        address=address,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
    )


async def _respond(call: Call, reply: Reply) -> Response[Any]:
    body = reply.encoded()
    cache_control = _OF_READS if call.method == "GET" else NOT_KEPT
    headers = {"Cache-Control": cache_control, "Vary": "Authorization", **reply.headers}
    if not isinstance(body, bytes):
        return Stream(await _begun(body), status_code=reply.status, headers=headers, media_type=reply.media_type)
    if call.method == "GET":
        etag = headers.setdefault("ETag", etag_of(body))
        if matches(call.headers.get("if-none-match", ""), etag):
            return Response(b"", status_code=304, headers=headers, media_type=reply.media_type)
    return Response(body, status_code=reply.status, headers=headers, media_type=reply.media_type)


async def _begun(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream with its first block at hand: what fails on the way to it can still be told by the status."""
    first = await anext(body, b"")

    async def blocks() -> AsyncIterator[bytes]:
        yield first
        async for block in body:
            yield block

    return blocks()


def refuse(refusal: GatewayError | PanelError) -> Response[Any]:
    """The refusal as problem details."""
    problem = problems.problem_of(refusal)
    headers = dict(refusal.headers) if isinstance(refusal, TooManyRequests) else {}
    if isinstance(refusal, errors.InvalidKey):
        headers["WWW-Authenticate"] = "Bearer"
    return tell(problem, headers)


def tell(problem: problems.Problem, headers: dict[str, str] | None = None) -> Response[Any]:
    """A problem as a response."""
    headers = {"Cache-Control": NOT_KEPT, **(headers or {})}
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, headers=headers, media_type=problems.MEDIA_TYPE
    )
