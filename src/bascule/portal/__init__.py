"""The portal: pages in a browser over the same services as every other face.

What lives here: who is looking (``guard``), how a page looks (``look``, ``templates``,
``codes``), what is live (``live``), and one module a page (``pages``). Every page works
without JavaScript; htmx makes it quick. A page's data comes from services that the API
offers too, and an act goes through the use case that the API's route calls, so the portal
can do nothing that the API could not.
What is not here: signing in (``api.oauth``), rules, queries.
"""

from __future__ import annotations

from bascule.portal.routes import router

__all__ = ["router"]
