"""Knowledge bases, their files and chunks."""
