"""Runs, their logs, those that wait, and word of what was stored."""
