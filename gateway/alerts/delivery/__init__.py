"""Telling operators: digests by e-mail and webhook, at least once each."""
