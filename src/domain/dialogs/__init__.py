"""Dialogs, their messages, and how much of them a prompt can hold."""
