"""Files: what they are, and the documents that are read from them."""
