"""Every kind of alert that any code raises is in the table of conditions and in the operators' guide."""

import re
from pathlib import Path

from gateway.alerts.conditions.store import CONDITIONS
from gateway.alerts.delivery.store import UNDELIVERED
from gateway.api.redis_alert import KIND
from gateway.dispatch.unknowns.pausing import ALERT as PAUSED
from gateway.orders.families.model import UNPAID
from gateway.orders.settlement import MESSAGES
from gateway.providers.money.balances import KEY_REFUSED, OTHER_CURRENCY

PROJECT = Path(__file__).parents[3]
KINDS = [condition.kind for condition in CONDITIONS]


def test_what_is_raised_is_in_the_table_once() -> None:
    raised = {KIND, UNDELIVERED, UNPAID, KEY_REFUSED, OTHER_CURRENCY, PAUSED, *MESSAGES}
    for path in (PROJECT / "gateway").rglob("*.py"):
        raised |= set(re.findall(r'Alert\(\s*"(\w+)"', path.read_text()))
    assert raised - set(KINDS) == set()
    assert len(KINDS) == len(set(KINDS))


def test_the_operators_guide_has_every_kind() -> None:
    guide = (PROJECT / "docs/operations.md").read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", "".join(rows))) == sorted(KINDS)
