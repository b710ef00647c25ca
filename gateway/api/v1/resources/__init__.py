"""What the native API offers, one module a resource; each lists its `OPERATIONS`."""
