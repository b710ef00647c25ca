"""The examples of docs/webhooks.md do what they say, in three languages."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from gateway.webhooks.model import new_secret

GUIDE = (Path(__file__).parents[3] / "docs/webhooks.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"```(python|php|javascript)\n(.*?)```", GUIDE, re.DOTALL))
BODY = '{"type": "order.completed", "name": "\u043f\u043e\u0434\u043f\u0438\u0441"}'
RUN = {
    "python": (
        [sys.executable, "-c"],
        "\nimport json\ns, h, b = json.loads(sys.argv[1])\nprint(is_ours(s, h, b.encode()))",
    ),
    "php": (
        ["php", "-r"],
        "\n[$s, $h, $b] = json_decode($argv[1], true); echo is_ours($s, $h, $b) ? 'True' : 'False';",
    ),
    "javascript": (
        ["node", "-e"],
        "\nconst [s, h, b] = JSON.parse(process.argv[1]); console.log(isOurs(s, h, b) ? 'True' : 'False');",
    ),
}


def said(language: str, secret: str, headers: dict[str, str], body: str) -> str:
    command, call = RUN[language]
    given = json.dumps([secret, headers, body])
    done = subprocess.run([*command, CODE[language] + call, given], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("language", ["python", "php", "javascript"])
def test_an_example_knows_ours_from_others(language: str) -> None:
    secret, other, now = new_secret(), new_secret(), datetime.now(UTC)

    def headers(at: datetime, *secrets: str) -> dict[str, str]:
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(Webhook(each).sign("msg_1", at, BODY) for each in secrets),
        }

    assert said(language, secret, headers(now, secret), BODY) == "True"
    assert said(language, secret, headers(now, other, secret), BODY) == "True"
    assert said(language, secret, headers(now, other), BODY) == "False"
    assert said(language, secret, headers(now, secret), BODY + " ") == "False"
    assert said(language, secret, headers(now - timedelta(minutes=6), secret), BODY) == "False"
