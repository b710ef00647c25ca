"""Orders that upstreams took, recorded together."""
