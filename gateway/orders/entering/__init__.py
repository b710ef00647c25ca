"""New orders as they are written down."""
