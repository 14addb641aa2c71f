"""MCP servers, by way of the mcp SDK, which is imported when the first of them is used."""
