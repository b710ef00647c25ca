"""How well services are delivered, measured on the orders that ended."""
