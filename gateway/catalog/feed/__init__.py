"""What changed in the catalogue: new, price, limits, off, on."""
