"""Users as operators list, look at and change them."""
