"""What proves an adapter: fakes, and the contract suites that they and the real ones pass.

Shipped, so that an adapter written elsewhere can be held to the same examination. The
contract suites import pytest; nothing else of Bascule imports them.
"""
