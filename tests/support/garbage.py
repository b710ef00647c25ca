"""What is gone without the garbage collector, which stops every request while it looks."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def gone_at_once(kind: type) -> Iterator[None]:
    """Fails where the block leaves objects of the kind that only the collector could free."""
    gc.collect()
    gc.disable()
    try:
        yield
        left = sum(isinstance(each, kind) for each in gc.get_objects())
    finally:
        gc.enable()
    assert left == 0, f"{left} of {kind.__name__} hold themselves"
