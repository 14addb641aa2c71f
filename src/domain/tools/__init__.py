"""Tools: what they are called and take, what bounds their calls, and which servers may be asked."""
