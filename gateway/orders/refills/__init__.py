"""Refills of completed orders: asked for by the customer, passed upstream, followed to their end."""
