"""The books as their owners and operators read them."""
