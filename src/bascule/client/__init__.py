"""The typed HTTP client of Bascule's own API: what the command line and the agent call.

Here: the connection with its trust and its token, one module per kind of resource, frozen
values out, ``bascule.errors`` raised. Not here: what is printed (``cli``), what a host does
with an answer (``agent``), any rule of what may be opened (``domain``).
"""
