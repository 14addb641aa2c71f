"""Files, and what was read from them."""
