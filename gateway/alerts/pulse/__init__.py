"""The pulse of each process, by which a silent one is known."""
