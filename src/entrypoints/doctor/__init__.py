"""`agentchat doctor`: tries the running set-up from end to end and says what to change. Its checks: `checks.py`."""
