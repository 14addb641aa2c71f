"""Dialogs, their messages and summaries."""
