"""Numbers of all processes of a server, as Prometheus reads them."""
