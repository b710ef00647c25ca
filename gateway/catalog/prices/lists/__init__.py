"""Markups and the prices of single users as operators list them, each with its id."""
