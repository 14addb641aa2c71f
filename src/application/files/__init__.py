"""Files: taken in, kept, handed out, and read."""
