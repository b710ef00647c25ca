"""A check of our own beside those of schemathesis, which loads this file by itself."""

import json
import os
import re
from typing import Any

import schemathesis
from schemathesis.core.transport import Response

_OF_THE_FORM = re.compile("(Expected|Object|Invalid) .*", re.DOTALL)
"""How msgspec begins; rules that no schema holds have words of their own."""

_OWN = frozenset(os.environ.get("FUZZ_OWN", "").split())
"""Ids of the user who asks and of his key, which answers tell."""
_NOBODY = "00000000-0000-7000-8000-000000000000"


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Nobody bans himself or revokes the key he asks with: he would find nothing from then on."""
    if case.method != "GET":
        for name, value in case.path_parameters.items():
            if str(value).lower() in _OWN:
                case.path_parameters[name] = _NOBODY


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
