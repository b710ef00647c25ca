"""Measurements: ratios taken in turn in one run, with their spread; see docs/operations.md for how to read them."""
