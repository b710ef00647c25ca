"""What is earned: turnover, cost and losses of orders that ended."""
