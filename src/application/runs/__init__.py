"""Runs: answers in the making, their logs, who follows them, and how they end, at any process."""
