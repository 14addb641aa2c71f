"""Models behind Anthropic's messages protocol."""

from adapters.anthropic.endpoint import AnthropicEndpoint

__all__ = ["AnthropicEndpoint"]
