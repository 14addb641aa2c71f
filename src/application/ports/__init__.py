"""One protocol for each conversation with the outside."""
