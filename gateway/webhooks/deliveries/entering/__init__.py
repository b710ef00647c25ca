"""How deliveries come into the queue."""
