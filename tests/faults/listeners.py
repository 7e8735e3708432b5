"""Plain TCP listeners on a machine of the lab: ``python -m tests.faults.listeners PORT...``.

Both families. A byte ``R`` has the connection reset from this side, with which a client can
come back on the very tuple that connection tracking still knows (EDGES A1).
What is not here: any service; whoever connects is left in peace until he goes.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import sys

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


def main(ports: list[int]) -> None:
    selector = selectors.DefaultSelector()
    for port in ports:
        made = socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True
        )
        made.setblocking(False)
        selector.register(made, selectors.EVENT_READ, _accept)
    while True:
        for key, _ in selector.select():
            key.data(key.fileobj, selector)


def _accept(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    with contextlib.suppress(OSError):
        while True:
            made, _ = listener.accept()
            made.setblocking(False)
            selector.register(made, selectors.EVENT_READ, _serve)


def _serve(connection: socket.socket, selector: selectors.BaseSelector) -> None:
    said = b""
    with contextlib.suppress(OSError):
        said = connection.recv(16)
        if said.startswith(b"R"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            said = b""
    if not said:
        selector.unregister(connection)
        connection.close()


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]])
