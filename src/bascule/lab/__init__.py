"""The lab: a small real network on one Linux host, to try Bascule on and to test it with.

Lives here: a network of namespaces (``topology``, ``network``, ``host``), a daemon that starts
the processes in it and starts them again (``supervisor``, which plays the service manager's
part, file descriptor store included: ``fdstore``), what it writes down (``folder``, ``state``),
the first machines and rules (``seed``) and the commands (``commands``).

The host that the lab runs on sees one socket on 127.0.0.1 and named network namespaces,
nothing else: no address, route, rule, sysctl or account changes.

What is not here: anything that a real installation needs. The lab starts ``bascule serve`` and
``bascule agent`` as anybody would and speaks to them over the wire.
"""
