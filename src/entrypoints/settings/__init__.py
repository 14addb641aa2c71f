"""Settings: read once, checked all at once, and shown with where each came from."""
