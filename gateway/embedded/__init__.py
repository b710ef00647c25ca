"""Real PostgreSQL and Valkey from their wheels, run by the gateway inside its data directory."""

from gateway.embedded.data import remove_data
from gateway.embedded.servers import EmbeddedServers

__all__ = ["EmbeddedServers", "remove_data"]
