"""A question becomes an answer: what goes into the prompt, the agent loop, and waiting for a person."""
