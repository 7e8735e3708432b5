"""Drivers: one folder a kind of firewall, each an implementation of ``interfaces.driver``.

Which there are is listed in ``bootstrap.drivers``, the registry.

``nftables`` is the one for Linux hosts; ``linux`` holds what any driver on Linux may ask of
the kernel beside it (sockets, tracked connections, addresses, facts), in plain netlink.
Drivers are strangers to one another and know nothing of servers, agents or people.
"""
