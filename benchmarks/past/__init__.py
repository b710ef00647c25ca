"""A past of many months, as the gateway itself would have left it: made row by row in time order, and loaded."""
