"""Tools: the registry of them, and running the calls of a model."""
