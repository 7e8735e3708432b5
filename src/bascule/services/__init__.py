"""Use cases: each one function on one transaction, called by every face alike.

A use case takes the transaction and an ``Act`` (who, when, fresh ids), reads the rows it
judges inside that transaction, writes change and audit event together, and notes on the
act which machines' enforcement points must be told. What is not here: HTTP, SQL, kernels.
"""
