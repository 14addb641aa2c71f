"""Agents, and agents as documents."""
