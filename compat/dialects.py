"""How panels differ in what they must be sent, as one table; what they answer is read tolerantly from all."""

from typing import Literal

import msgspec


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What one family of panels wants. `about` says how such a panel is known.

    `many_action` asks for the status of many orders; where it is empty, such a panel takes one order
    or refill a call, in `order` or `refill`. `names` are fields of `add` that it has another name for.
    """

    about: str
    body: Literal["form", "json", "query"] = "form"
    key: Literal["key", "api_token", "bearer"] = "key"
    many_action: str = "status"
    names: dict[str, str] = {}


DIALECTS: dict[str, Dialect] = {
    "standard": Dialect(about="forms with `key`; many orders as `orders`"),
    "json": Dialect(about="takes JSON bodies only", body="json"),
    "query": Dialect(about="reads the query string only", body="query"),
    "token": Dialect(about="the key is `api_token`", key="api_token"),
    "bearer": Dialect(about="the key is an `Authorization: Bearer` header", key="bearer"),
    "orders": Dialect(about="the action `orders` for many", many_action="orders"),
    "multi_status": Dialect(about="the action `multi_status` for many", many_action="multi_status"),
    "statuses": Dialect(about="the action `statuses` for many", many_action="statuses"),
    "single": Dialect(about="one order a call; `order` for cancel", many_action=""),
    "media_url": Dialect(about="the media of Media Likers is `media_url`", names={"media": "media_url"}),
}
"""By the name that `gateway provider add --dialect` takes; the first is that of a provider without one."""

STANDARD = DIALECTS["standard"]
