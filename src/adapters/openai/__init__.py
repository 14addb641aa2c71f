"""Models behind OpenAI's chat completions protocol: OpenAI itself, and every server that speaks it."""

from adapters.openai.endpoint import OpenAIEndpoint

__all__ = ["OpenAIEndpoint"]
