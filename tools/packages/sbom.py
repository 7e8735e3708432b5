"""The software bill of materials of a package, as CycloneDX 1.6 has it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable

from libraries import Locked
from tree import ROOT

_OURS = uuid.UUID(
    "6f0c2a52-6a55-4b1c-9b7d-1f7a6f4f1f0e"
)  # so that the same package has the same serial number


def text(package: str, version: str, libraries: Iterable[Locked], instant: str) -> str:
    named = _licences()
    ours = f"pkg:generic/{package}@{version}"
    parts = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{each.name}@{each.version}",
            "name": each.name,
            "version": each.version,
            "purl": f"pkg:pypi/{each.name}@{each.version}",
            "licenses": [{"expression": named[each.name]}],
        }
        for each in libraries
    ]
    about = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_OURS, ours)}",
        "version": 1,
        "metadata": {
            "timestamp": instant,
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": package,
                "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": parts,
        "dependencies": [{"ref": ours, "dependsOn": [each["bom-ref"] for each in parts]}],
    }
    return json.dumps(about, indent=2) + "\n"


def _licences() -> dict[str, str]:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| ([a-z0-9-]+) \| ([A-Z].+?) \|$", page, re.MULTILINE))
