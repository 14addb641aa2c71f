"""The models that agents may use: the configured ones, and those that people bring."""
