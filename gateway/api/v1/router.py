"""Everything under `/v1`: what the modules of `resources` list, found by itself."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

from litestar import Router

from gateway.api.v1 import resources
from gateway.api.v1.operations import PREFIX, Operation, route


def _found() -> Iterator[Operation]:
    for module in pkgutil.walk_packages(resources.__path__, f"{resources.__name__}."):
        yield from getattr(importlib.import_module(module.name), "OPERATIONS", [])


OPERATIONS: list[Operation] = list(_found())
_PATHS: dict[str, list[str]] = {}
for _operation in OPERATIONS:
    _PATHS.setdefault(_operation.path, []).append(_operation.method)
_PATTERNS = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), sorted(methods)) for path, methods in _PATHS.items()]


def methods_of(path: str) -> list[str]:
    """The methods that a path of the native API takes; none where it has no such path.

    Slashes too many are passed over, as Litestar does.
    """
    path = re.sub("/+", "/", path).removesuffix("/")
    found = _PATHS.get(path) or next((methods for pattern, methods in _PATTERNS if pattern.fullmatch(path)), [])
    heads = ["HEAD"] if "GET" in found else []
    return sorted([*found, *heads, "OPTIONS"]) if found else []


ROUTER = Router(PREFIX, route_handlers=[route(operation) for operation in OPERATIONS])
