"""How answers lead on to other operations (OpenAPI links)."""

from typing import Any


def _links(*targets: tuple[str, str, str]) -> dict[str, Any]:
    return {
        operation: {"operationId": operation, "parameters": {parameter: f"$response.body#{pointer}"}}
        for operation, parameter, pointer in targets
    }


_ORDER = _links(
    ("get_order", "order", "/id"), ("list_order_events", "order", "/id"), ("cancel_order", "order", "/number"),
    ("refill_order", "order", "/number"),
)  # fmt: skip
_KEY = _links(
    ("get_api_key", "key", "/id"), ("change_api_key", "key", "/id"), ("rotate_api_key", "key", "/id"),
    ("revoke_api_key", "key", "/id"),
)  # fmt: skip
_WEBHOOK = _links(
    ("get_webhook", "webhook", "/id"), ("change_webhook", "webhook", "/id"), ("rotate_webhook", "webhook", "/id"),
    ("ping_webhook", "webhook", "/id"), ("list_deliveries", "webhook", "/id"), ("delete_webhook", "webhook", "/id"),
)  # fmt: skip
LINKS: dict[str, Any] = {
    "create_order": _ORDER,
    "create_api_key": _KEY,
    "create_webhook": _WEBHOOK,
    "list_orders": _links(("get_order", "order", "/data/0/id")),
    "list_refills": _links(("get_refill", "refill", "/data/0/id")),
    "list_services": _links(("get_service", "service", "/data/0/number")),
    "admin_create_user": _links(("admin_get_user", "user", "/id"), ("admin_change_user", "user", "/id")),
    "admin_create_key": _links(("admin_get_key", "key", "/id"), ("admin_revoke_key", "key", "/id")),
    "admin_open_wallet": _links(("admin_get_wallet", "wallet", "/id"), ("admin_deposit", "wallet", "/id")),
    "admin_list_orders": _links(
        ("admin_get_order", "order", "/data/0/id"), ("admin_refund_order", "order", "/data/0/id")
    ),
    "admin_list_alerts": _links(("admin_clear_alert", "alert", "/data/0/id")),
}
