"""What agents remember about users: learnt, found, shown and forgotten."""
