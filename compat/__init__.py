"""The SMM panel protocol, both sides: usable on its own, knows nothing of the gateway."""

from compat.backend import PanelBackend
from compat.drafts import Draft, read_draft
from compat.errors import PanelError
from compat.kinds import Kind, parse_kind
from compat.server import panel_app
from compat.status import PanelStatus
from compat.wire import AddRequest, Balance, OrderStatus, Service

__all__ = [
    "AddRequest",
    "Balance",
    "Draft",
    "Kind",
    "OrderStatus",
    "PanelBackend",
    "PanelError",
    "PanelStatus",
    "Service",
    "panel_app",
    "parse_kind",
    "read_draft",
]
