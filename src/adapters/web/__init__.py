"""HTTP to the models' providers: one client for all of them, and the course of a streamed answer.

Importing this imports no HTTP library: those come with the first answer, or with `warm_up`.
"""

from adapters.web.chat import HttpChatModel
from adapters.web.client import WebClient
from adapters.web.posting import Posting

__all__ = ["HttpChatModel", "Posting", "WebClient"]
