"""Wishes to cancel orders: taken at once, acted on until the order or its upstream has an answer."""
