"""Who changed what: the log that operators read, and nobody can rewrite."""
