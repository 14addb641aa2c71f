"""Migrations: each revision says what it did then, whatever tables.py says now."""
