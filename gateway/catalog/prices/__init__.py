"""What a service costs: from its cost and our markups, and for a user of whom something else was said."""
