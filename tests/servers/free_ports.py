"""Ports that are free, and stay so while their server is down."""

import random
import socket


def free_ports(count: int) -> list[int]:
    """Below the range from which the machine lends ports to clients: from there any of them may take it meanwhile."""
    probes: list[socket.socket] = []
    while len(probes) < count:
        probe = socket.socket()
        try:
            probe.bind(("127.0.0.1", random.randrange(10_000, 32_000)))
        except OSError:
            probe.close()
        else:
            probes.append(probe)
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
