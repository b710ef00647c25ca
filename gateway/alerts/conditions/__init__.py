"""The one table of what alerts are about, and the sweep that raises and clears them."""
