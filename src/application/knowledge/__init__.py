"""Knowledge: bases, taking files in, and finding passages in them."""
