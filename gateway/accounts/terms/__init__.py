"""What each key may do and how much, as rows that are issued, changed and rotated; and the tiers."""
