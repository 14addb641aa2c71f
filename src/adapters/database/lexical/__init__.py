"""Finding chunks by words, on each database."""
