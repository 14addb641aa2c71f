"""Models behind OpenAI's protocols, chat completions and embeddings: OpenAI itself, and servers that speak them."""

from adapters.openai.embedder import OpenAIEmbedder
from adapters.openai.endpoint import OpenAIEndpoint
from adapters.openai.pace import Pace

__all__ = ["OpenAIEmbedder", "OpenAIEndpoint", "Pace"]
