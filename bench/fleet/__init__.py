"""A fleet of simulated agents on one server of its own, and people who ask for access there.

Each agent is real to the server: an address of its own in 127.0.0.0/8, its own key, token,
connections, state and reports, as often as the real agent sends them. Nothing is behind it: what
it is told is what it reports as in force. The wire is one module a protocol (``speech``), so that
an earlier revision is measured by what it speaks itself.
"""
