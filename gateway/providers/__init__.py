"""The upstream panels that orders are bought from."""
