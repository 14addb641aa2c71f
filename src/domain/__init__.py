"""Entities, value objects and rules. The standard library alone."""
