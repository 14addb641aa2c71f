"""Persistence on SQLAlchemy Core: one set of tables and statements for SQLite and Postgres."""
