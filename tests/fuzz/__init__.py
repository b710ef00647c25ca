"""Random requests against the whole HTTP side; a seed replays each."""
