"""Words of the overview."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "overview.title": ("Overview", "Vue d’ensemble"),
    "overview.lead": (
        "Management ports are shut until somebody asks.",
        "Les ports de gestion sont fermés tant que personne ne demande.",
    ),
}
