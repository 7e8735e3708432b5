"""Fakes of what Bascule asks of the outside; they pass the contract suites in tests/contracts.

Shipped, so that an agent can be tried without a kernel, also by who writes another driver.
"""
