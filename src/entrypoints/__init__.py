"""Settings, container, command line and HTTP: the only place that knows all the rest."""
