"""Usage, and quotas on it."""
