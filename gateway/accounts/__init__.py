"""Users, their API keys, and the way from a key to the account that it spends from."""
