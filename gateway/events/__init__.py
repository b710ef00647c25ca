"""Facts that others are told of, written in the transaction that causes them."""
