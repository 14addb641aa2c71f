"""Asking models: who answers, within which limits, what came of it, and who takes over where one fails."""
