"""Which module of ``bascule`` goes into which package: what the imports say, and no list by hand.

``bascule-cli`` has what the command line imports, and what agent and server both import;
``bascule-agent`` what only an agent imports, ``bascule-server`` the rest. These two need exactly
their version of the first. All install into one folder, so that there is one program ``bascule``,
whose commands are those that are installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
CLI, AGENT, SERVER = "bascule-cli", "bascule-agent", "bascule-server"
ROOTS = {
    CLI: ("bascule.cli", "bascule.bootstrap.__main__"),
    AGENT: ("bascule.agent", "bascule.bootstrap.drivers"),
}


class Tree:
    """The modules of the source with their imports, parted between the packages."""

    def __init__(self) -> None:
        self._graph = grimp.build_graph("bascule", include_external_packages=True, cache_dir=None)
        ours = {each for each in self._graph.modules if each.partition(".")[0] == "bascule"}
        cli, agent = self._needed(ROOTS[CLI]), self._needed(ROOTS[AGENT])
        server = self._needed(ours - cli - agent)
        common = cli | (agent & server)
        self._modules = {
            CLI: common & ours,
            AGENT: (agent - common) & ours,
            SERVER: ours - common - agent,
        }
        self._foreign = {CLI: cli - ours, AGENT: agent - ours}

    def _needed(self, roots: Iterable[str]) -> set[str]:
        """What the roots import, whatever that imports, and the packages above each of them."""
        waiting = [each for root in roots for each in self._at_and_below(root)]
        found = set(waiting)
        while waiting:
            module = waiting.pop()
            imported = self._graph.find_modules_directly_imported_by(module)
            above = {module.rpartition(".")[0]} - {""}
            for each in (imported | above) - found:
                found.add(each)
                waiting.append(each)
        return found

    def _at_and_below(self, root: str) -> Iterable[str]:
        return {root, *self._graph.find_descendants(root)}

    def foreign(self, package: str) -> set[str]:
        """The modules of others that a package for hosts imports."""
        return {each for each in self._foreign[package] if each not in sys.stdlib_module_names}

    def modules(self, package: str) -> set[str]:
        return self._modules[package]

    def files(self, package: str) -> list[Path]:
        """Paths below the source, in order."""
        found = {_file(each) for each in self._modules[package]}
        if package == SERVER:
            found |= _no_modules()
        return sorted(found)


def _file(module: str) -> Path:
    path = Path(*module.split("."))
    package = path / "__init__.py"
    return package if (SOURCE / package).is_file() else path.with_suffix(".py")


def _no_modules() -> set[Path]:
    """Templates, texts and the like, and revisions of the database, which no module imports."""
    below = SOURCE / "bascule"
    others = {
        each for each in below.rglob("*") if each.is_file() and each.suffix not in (".py", ".pyc")
    }
    revisions = (below / "store" / "migrations").rglob("*.py")
    return {each.relative_to(SOURCE) for each in (*others, *revisions)}
