"""Make one firewall equal to what is desired: the loop's inside, for an agent and a server alike.

What is not here: where desired state comes from (``agent``, ``bootstrap.this_host``), any firewall
(``drivers``), and when a pass runs.
"""
