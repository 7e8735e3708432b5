"""The loop on a host: desired state in, observe, plan, apply, read back, report.

It reaches outward only, holds no inbound port, and needs CAP_NET_ADMIN alone. What it
knows survives it in ``memory``; the kernel ends what it opened whether it lives or not.
What is not here: the decision (the server's), the rules' text (``drivers``).
"""
