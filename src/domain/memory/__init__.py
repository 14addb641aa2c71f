"""Memories: what is worth remembering about a user, and when it is recalled."""
