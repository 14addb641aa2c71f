"""Our own MCP server: the caller's agents as tools of other programs, over streamable HTTP, without any state."""
