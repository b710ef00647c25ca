"""Providers that take no more than a number of orders a second, over all workers together."""
