"""The page that tells people how to speak the panel protocol, served where a browser looks: `GET /api`."""
