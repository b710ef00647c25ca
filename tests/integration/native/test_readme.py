"""The commands that the documents give to be pasted do what they say."""

import asyncio
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from tests.support.native import Native

PROJECT = Path(__file__).parents[3]
_COMMAND = re.compile(r"^    curl (?:.*\\\n)*.*", re.MULTILINE)


def commands(document: str) -> list[str]:
    """Those of the native API, in their order."""
    text = (PROJECT / document).read_text(encoding="utf-8")
    return [command.strip() for command in _COMMAND.findall(text) if "/v1/" in command]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(("document", "fewest"), [("README.md", 3), ("docs/webhooks.md", 1)])
async def test_the_commands_run_as_they_are_pasted(api: Native, document: str, fewest: int) -> None:
    found = commands(document)
    assert len(found) >= fewest
    for command in found:
        pasted = command.replace("http://127.0.0.1:8000", api.url).replace("KEY", api.key)
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", f"{pasted} -sf", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, (command, errors)
        assert isinstance(msgspec.json.decode(output), dict)
