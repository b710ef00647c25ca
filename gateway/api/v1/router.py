"""Everything under `/v1`."""

from litestar import Router
from litestar.di import Provide

from gateway.api.v1 import services
from gateway.api.v1.auth import provide_account
from gateway.api.v1.problems import refuse
from gateway.errors import GatewayError

ROUTER = Router(
    "/v1",
    route_handlers=services.HANDLERS,
    dependencies={"account": Provide(provide_account)},
    exception_handlers={GatewayError: refuse},
)
