"""The portal in a real browser, which stands in the lab's client.

A package of its own, so that Playwright, whose event loop no other may run beside, ends with
the last of these tests.
"""
