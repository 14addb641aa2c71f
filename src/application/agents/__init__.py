"""Agents: made, changed, kept in versions, and carried as files."""
