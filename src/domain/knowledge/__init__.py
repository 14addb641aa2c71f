"""Knowledge: from a document to chunks, and from rankings to passages that are cited."""
