"""The built-in model that needs no key: deterministic, extractive, and honest about both."""

from adapters.offline.chat_model import OfflineChatModel

__all__ = ["OfflineChatModel"]
