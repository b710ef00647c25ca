"""What we sell, where each service is bought, and how the two are kept the same as upstream."""
