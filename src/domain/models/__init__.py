"""Models, how they fail, and who comes next."""
