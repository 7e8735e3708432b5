"""A plain TCP server: takes each connection and ends it. Not sshd, which punishes knocking.

``python -m bench.listener PORT`` prints a line when it listens and ends with its standard input.
"""

from __future__ import annotations

import select
import socket
import sys

PROGRAM = "bench.listener"


def serve(port: int) -> None:
    """Serve on every address, IPv4 and IPv6, until standard input ends."""
    with socket.create_server(
        ("::", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True
    ) as server:
        print("listening", flush=True)
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = server.accept()
            connection.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
