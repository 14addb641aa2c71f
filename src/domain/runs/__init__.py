"""Runs, and those that wait for a person."""
