"""Orders: what they are, how they are placed, and how their money is settled."""
