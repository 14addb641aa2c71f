"""Users, their keys and tokens, and failed logins."""
