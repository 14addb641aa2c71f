"""Serving HTTP: one socket, one or several processes, and a stop that lets running answers end."""
