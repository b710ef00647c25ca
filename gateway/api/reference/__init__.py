"""The native API told: its description for machines, pages for people, all without a network."""
