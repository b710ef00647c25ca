"""A UTC day of our account at a provider, reckoned from readings, deposits and orders."""
