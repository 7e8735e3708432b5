"""A fleet of simulated agents on one server of its own, and people who ask for access there.

The server sees real agents: each has its own address in 127.0.0.0/8, key, connections, state and
reports, and sends what the real agent sends, as often. It has no firewall: what the server sends is
what it reports as in force. ``speech`` has one module for each protocol, so that agents speak the
protocol of the revision that is measured.
"""
