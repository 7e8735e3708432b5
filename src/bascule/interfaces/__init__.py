"""What the inside asks of the outside, as Protocols: a module a subject.

(The hexagonal "ports"; the word *port* is a network port here.) Adapters implement these
and pass their contract suites (``testing``); nothing inside names a concrete class.
What is not here: any implementation, any wire shape.
"""
