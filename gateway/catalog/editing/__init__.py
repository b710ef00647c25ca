"""What an operator sets by hand: services, their routes, prices, and the terms of providers."""
