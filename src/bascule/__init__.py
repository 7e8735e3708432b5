"""Bascule keeps management ports closed and opens one for one source for a short while.

The package holds no code at its top: see ``ARCHITECTURE.md`` for the house, and each
sub-package's docstring for what lives there and what does not.
"""

__version__ = "0.1.0"
