"""What is said to a model and what it answers, in no vendor's words."""
