"""Sending orders upstream: an attempt row first, then the socket, then the outcome."""
