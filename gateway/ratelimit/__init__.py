"""How many requests a minute a key may make, and an address with wrong keys."""
