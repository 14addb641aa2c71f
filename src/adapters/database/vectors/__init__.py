"""Finding chunks by meaning: pgvector, or matrices in memory."""
