"""Agents and what they use: models, tools and MCP servers."""
