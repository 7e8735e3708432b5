"""Security plans and policies of scopes: is just-in-time access on or off there?"""

from __future__ import annotations
