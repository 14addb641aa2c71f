"""Agents for other programs: over MCP, and in the protocol of OpenAI."""
