"""Dialogs, their history, and the summaries of what fell out of the window."""
