"""The log of deliveries, as it is read."""
