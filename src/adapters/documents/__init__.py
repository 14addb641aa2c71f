"""Reads documents and pictures of strangers, in child processes that can do little harm.

Parent: child_parsers (the port) → child_process → messages, answers, spool. Child: child → confinement, reading →
one module for each format → writing. Nothing is imported here: a child starts with what it needs alone.
"""
