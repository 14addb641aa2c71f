"""HTTP to the models' providers: one client for all of them, and the course of a streamed answer."""
