"""Orders as their owners and operators list and look at them."""
