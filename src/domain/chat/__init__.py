"""What a run tells, what it has produced so far, and what programs send along that keep a conversation themselves."""
