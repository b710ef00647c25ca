"""A check of our own beside those of schemathesis, which loads this file by itself."""

import json
import re

import schemathesis
from schemathesis.core.transport import Response

_OF_THE_FORM = re.compile("(Expected|Object|Invalid) .*", re.DOTALL)
"""How msgspec begins; rules that no schema holds have words of their own."""


@schemathesis.check
def what_fits_the_description_is_read(
    ctx: schemathesis.CheckContext, response: Response, case: schemathesis.Case
) -> None:
    """A request that fits is never refused for its form, only for what there is, such as money."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 415, 422):
        return
    problem = json.loads(response.content)
    wrong = [fault for fault in problem.get("errors", []) if _OF_THE_FORM.fullmatch(fault["message"])]
    assert response.status_code == 422, problem
    assert problem["type"] != "/problems/invalid" or not wrong, f"it fits the description: {wrong}"
