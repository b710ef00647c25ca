"""Taking over what upstreams list."""
