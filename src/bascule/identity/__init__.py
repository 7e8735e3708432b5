"""Who somebody is, and how this server proves that it is itself.

Certificates (``tls``), access tokens (``tokens``), generated secrets (``secrets``), the
agents' signed assertions (``assertions``), and from those a Subject (``authenticate``).
What is not here: what a subject may do (``domain.access``, ``services``), the OAuth wire
(``api.oauth``), and the agent's side of an assertion (``client.assertion``).
"""
