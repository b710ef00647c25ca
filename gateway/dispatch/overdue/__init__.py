"""What time makes due: leases that ran out, copies, unknowns and queued orders that grew too old."""
