"""What is on its way to endpoints, and what became of it."""
