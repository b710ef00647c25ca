"""The same request again: idempotency keys, and the replay window of an API key."""
