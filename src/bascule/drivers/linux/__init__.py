"""What a Linux kernel says about its connections and itself, by the standard library alone.

Everything here reads (``sockets.destroy`` aside) and works in the network namespace of the
calling thread. No firewall rule is known here.
"""
