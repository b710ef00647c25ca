"""What a key with a daily cap has spent today."""
