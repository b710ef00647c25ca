"""What constraints refuse, in words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg

from gateway.errors import Conflict


@contextmanager
def told(refusals: Mapping[str, str]) -> Iterator[None]:
    """A constraint that `refusals` names raises Conflict with its words; any other one what it raised."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        refusal = refusals.get(error.constraint_name or "")
        if refusal is None:
            raise
        raise Conflict(refusal) from error
