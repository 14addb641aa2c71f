"""Users, and how guessing their passwords is slowed down."""
