"""Why an order went where it went, or why it waits, for operators."""
