"""Problems that Litestar finds before any operation runs, and crashes: problem details too."""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from gateway.api.v1 import problems
from gateway.api.v1.operations import tell
from gateway.api.v1.router import methods_of
from gateway.logs import Logger

_KINDS = {404: problems.NOT_FOUND, 405: problems.METHOD}

_log = Logger(__name__)


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """An error of HTTP itself, such as an unknown path or method."""
    kind = _KINDS.get(error.status_code, problems.INTERNAL if error.status_code >= 500 else problems.BAD_REQUEST)
    allowed = methods_of(request.scope["path"]) or ["GET", "HEAD", "OPTIONS"]  # outside of the native API all is read
    headers = {"Allow": ", ".join(allowed)} if kind is problems.METHOD else {}
    return tell(problems.plain(kind), headers)


def _crashed(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("a request crashed", exc_info=error)
    return tell(problems.plain(problems.INTERNAL))


HANDLERS: ExceptionHandlersMap = {HTTPException: _refused, Exception: _crashed}
