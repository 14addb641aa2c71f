"""The caller's agents as models, for clients of OpenAI's chat completions."""
