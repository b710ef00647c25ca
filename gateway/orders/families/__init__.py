"""Orders that are made of others: drip-feeds and their runs, subscriptions and their posts."""
