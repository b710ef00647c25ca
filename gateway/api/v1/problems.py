"""What a refusal looks like in the native API: problem details (RFC 9457), from one table."""

from typing import Any

import msgspec
from litestar import Request, Response

from gateway import errors

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457; `type` names the kind of problem, `detail` says what is wrong with this request."""

    type: str
    title: str
    status: int
    detail: str = ""


class BadRequest(errors.GatewayError):
    """The request cannot be read."""

    def __init__(self, what: str) -> None:
        Exception.__init__(self, what)


_PROBLEMS: dict[type[errors.GatewayError], tuple[str, str, int]] = {
    errors.InvalidKey: ("invalid-key", "The API key is not valid", 401),
    errors.TooManyRequests: ("too-many-requests", "Too many requests", 429),
    errors.Unavailable: ("unavailable", "The service is temporarily unavailable", 503),
    errors.NotFound: ("not-found", "There is no such thing", 404),
    errors.Conflict: ("conflict", "The request contradicts what is recorded", 409),
    BadRequest: ("bad-request", "The request cannot be read", 400),
}
_HIDDEN = (errors.InvalidKey, errors.TooManyRequests, errors.Unavailable)
"""What they say besides their title is for our log."""


def refuse(_request: Request[Any, Any, Any], error: errors.GatewayError) -> Response[Problem]:
    """The refusal as problem details; of a kind without a row, 500."""
    found = next((_PROBLEMS[kind] for kind in type(error).__mro__ if kind in _PROBLEMS), None)
    slug, title, status = found or ("internal", "Internal Server Error", 500)
    detail = str(error) if found and not isinstance(error, _HIDDEN) else ""
    headers = dict(error.headers) if isinstance(error, errors.TooManyRequests) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        Problem(f"/problems/{slug}", title, status, detail), status_code=status, headers=headers, media_type=MEDIA_TYPE
    )
