"""The guide as bytes, and as the ASGI app that answers with it."""

import functools
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from compat import errors
from compat.kinds import RULES
from compat.server import Receive, Scope, Send
from compat.status import PanelStatus
from gateway.api.guide.words import ACTIONS, FIELDS

_HOST_CHARS_MAX = 255
_CLIENTS = {"PHP": "panel.php", "Python": "panel.py", "JavaScript": "panel.mjs", "curl": "panel.sh"}
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)

_environment = Environment(
    loader=PackageLoader(__package__, ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def is_for_people(scope: Scope) -> bool:
    """Whether this HTTP request asks `/api` for nothing in particular: neither query nor body."""
    return (
        scope["path"] in ("/api", "/api/")
        and scope["method"] in ("GET", "HEAD")
        and not scope.get("query_string")
        and not any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
            for name, value in scope["headers"]
        )
    )


async def guide(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with the page, under the address that the request came to."""
    page = render(_base_url(scope))
    headers = [*_HEADERS, (b"content-length", b"%d" % len(page))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page})


@functools.lru_cache(maxsize=16)
def render(base_url: str) -> bytes:
    """The page for a gateway at `base_url`, which has no slash at its end."""
    url = f"{base_url}/api/v2"
    page = _environment.get_template("page.html").render(
        url=url,
        actions=ACTIONS,
        kinds=RULES,
        words=FIELDS,
        statuses=[status.value for status in PanelStatus],
        refusals=_refusals(),
        clients=[(language, name, _client(name, url)) for language, name in _CLIENTS.items()],
    )
    return page.encode()


def _client(name: str, url: str) -> str:
    return files(__package__).joinpath("clients", name).read_text("utf-8").replace("{{ url }}", url).strip()


def _refusals() -> list[str]:
    """Every refusal that clients match, in the order of their file."""
    return [text.replace("{}", "N") for name, text in vars(errors).items() if name.isupper() and isinstance(text, str)]


def _base_url(scope: Scope) -> str:
    """Scheme and host as the client wrote them; what no host name has is percent-escaped.

    The address stands in program text too, where HTML's escapes alone would let a quote end a string.
    """
    given = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if not given and scope.get("server"):
        host, port = scope["server"]
        given = f"{host}:{port}".encode()
    return f"{scope['scheme']}://{quote(given[:_HOST_CHARS_MAX], safe=':[]')}"
