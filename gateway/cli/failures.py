"""What an operator is told when a command fails for a reason that can be foreseen."""

import socket
import sys

from gateway.errors import ConfigurationError, GatewayError, Unavailable

_DATABASE = {
    "UndefinedTableError": "the database is not set up: run gateway migrate",
    "UndefinedColumnError": "the database is not up to date: run gateway migrate",
    "UndefinedFunctionError": "the database is not up to date: run gateway migrate",
    "InvalidCatalogNameError": "GATEWAY_DATABASE_URL names a database that does not exist",
    "InvalidPasswordError": "the database refuses the user or password of GATEWAY_DATABASE_URL",
    "InvalidAuthorizationSpecificationError": "the database refuses the user of GATEWAY_DATABASE_URL",
}


def explain(error: BaseException) -> list[str]:
    """The lines to show; none for an error that nobody foresaw, whose traceback is wanted."""
    if isinstance(error, ConfigurationError):
        return error.problems
    if isinstance(error, Unavailable):
        return [f"{error.what}{_because(error.__cause__)}"]
    if isinstance(error, GatewayError):
        return [str(error)]
    if isinstance(error, ExceptionGroup):
        return list(dict.fromkeys(line for part in error.exceptions for line in explain(part) or [repr(part)]))
    if isinstance(error, OSError):
        return [_os_error(error)]
    if isinstance(error, TimeoutError):
        return [str(error) or "it took too long"]
    return _explain_foreign(error)


def _because(cause: BaseException | None) -> str:
    return f": {_os_error(cause)}" if isinstance(cause, OSError) and str(cause) else ""


def _os_error(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"a name cannot be resolved ({error.strerror})"
    said = error.strerror or str(error)
    return said if error.filename is None else f"{error.filename}: {said}"


def _explain_foreign(error: BaseException) -> list[str]:
    """Errors of libraries that only some commands load: looked at without importing them."""
    asyncpg, failures = sys.modules.get("asyncpg"), sys.modules.get("compat.failures")
    if failures is not None and isinstance(error, failures.UpstreamError):
        return [f"the provider cannot be read: {error}"]
    if asyncpg is not None and isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        name = type(error).__name__
        if name == "InvalidParameterValueError" and "role" in str(error):
            return [_DATABASE["UndefinedTableError"]]
        return [_DATABASE.get(name) or f"the database refuses: {str(error).splitlines()[0]}"]
    return []
