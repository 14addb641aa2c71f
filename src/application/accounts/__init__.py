"""Accounts: making them, proving who one is, staying logged in."""
