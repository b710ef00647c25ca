"""Bodies that can be sent as they stand, and how answers lead on to other operations."""

from typing import Any

_LINK = "https://example.com/p/1"

EXAMPLES: dict[str, Any] = {
    "create_order": {"service": 1, "link": _LINK, "quantity": 100},
    "create_orders": {"orders": [{"service": 1, "link": _LINK, "quantity": 100}]},
    "create_api_key": {"name": "shop", "scopes": ["orders:write", "orders:read"], "daily_spend_cap": "50"},
    "change_api_key": {"name": "shop"},
    "rotate_api_key": {"overlap_s": 86_400},
    "create_webhook": {"url": "https://example.com/hook", "events": ["order.*", "balance.low"]},
    "change_webhook": {"events": ["*"]},
    "rotate_webhook": {"overlap_s": 86_400},
    "replay_deliveries": {"since": "2026-01-01T00:00:00Z", "only_failed": True},
    "admin_create_user": {"email": "ann@example.com", "role": "reseller"},
    "admin_change_user": {"status": "suspended", "reason": "chargeback"},
    "admin_set_tier": {"requests_per_minute": 600},
    "admin_deposit": {"amount": "25.00", "reference": "invoice 2026-117"},
    "admin_withdraw": {"amount": "5.00", "reference": "payout 12"},
    "admin_charge_fee": {"amount": "1.00", "reference": "fee 3"},
    "admin_refund_wallet": {"amount": "1.00", "reference": "goodwill 4"},
    "admin_refund_order": {"amount": None, "reference": "complaint 8"},
    "admin_resolve_order": {"decision": "not_placed", "reason": "the panel has no such order"},
}


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
