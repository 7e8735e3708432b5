"""Bring the catalogues of texts up to date, or say what is wrong with them.

    .venv/bin/python tools/catalogue.py           # after a text was changed: .pot and each .po
    .venv/bin/python tools/catalogue.py --check   # change nothing; fail where something is amiss

Texts are found in Python and templates by what they are said with (``_``, ``ngettext``,
``pgettext``, ``words``, ``msgid``, ``sentence``); those of tables (``OF_TABLES``) are read from there.
A text that was changed keeps its translation as a fuzzy one, which whoever knows the language
confirms or corrects: the check takes none, and the program uses none.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from bascule.api.activity_filter import displays
from bascule.domain.builtin_roles import BUILTIN_ROLES
from bascule.domain.weaknesses import KINDS as WEAKNESS_KINDS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bascule"
TEMPLATE = SOURCE / "locale" / "bascule.pot"
# What people meet at the command line and on hosts is English alone.
PARTS = ("api", "domain", "identity", "portal", "services", "store")
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {
    "**/templates/**.html": {"extensions": "jinja2.ext.do,jinja2.ext.loopcontrols"},
}
KEYWORDS = {
    "_": None,
    "t": None,
    "msgid": None,
    "sentence": None,
    "words": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
}
FIELD = re.compile(r"\{[a-z_][a-z0-9_]*\}")
HEADER = """\
# Texts of Bascule.
# This file is distributed under the licence of Bascule, the Apache License 2.0."""
# What a header says of the moment and the machine that wrote it: nothing, so that it changes
# only with the texts.
FLEETING = re.compile(
    r'^"(?:Project-Id-Version|Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|'
    r'Last-Translator|Language-Team|Generated-By)[^\n]*\n|^#, fuzzy\nmsgid ""\n',
    re.MULTILINE,
)


def of_tables() -> Iterator[tuple[str, str, str]]:
    """Context, text and file of what stands in tables."""
    for display in displays():
        yield "operation", display, "domain/facts"
    for kind in WEAKNESS_KINDS.values():
        yield "", kind.text, "domain/weaknesses.py"
    for role in BUILTIN_ROLES:
        yield "", role.description, "domain/builtin_roles.py"


def _is_read(folder: str) -> bool:
    parts = Path(folder).relative_to(SOURCE).parts
    return not parts or parts[0] in PARTS


def extracted() -> Catalog:
    """Every text of the source, by file."""
    made = Catalog(header_comment=HEADER)
    found = extract_from_dir(SOURCE, METHODS, OPTIONS, KEYWORDS, directory_filter=_is_read)
    for name, _, text, comments, context in sorted(found, key=lambda each: each[:2]):
        made.add(text, locations=[(name, 0)], auto_comments=comments, context=context)
    for context, text, name in of_tables():
        made.add(text, locations=[(name, 0)], context=context or None)
    for message in made:
        message.flags.discard("python-format")  # a percent sign stands for itself
    return made


def written(catalogue: Catalog) -> str:
    out = io.BytesIO()
    write_po(out, catalogue, width=100, include_lineno=False, sort_by_file=False)
    return FLEETING.sub(
        lambda m: 'msgid ""\n' if m[0].startswith("#, fuzzy") else "", out.getvalue().decode()
    )


def translations() -> Iterator[tuple[Path, Catalog]]:
    for path in sorted(TEMPLATE.parent.glob("*/LC_MESSAGES/bascule.po")):
        with path.open("rb") as file:
            yield path, read_po(file, locale=path.parts[-3])


def update() -> None:
    """Write the .pot, and each .po with the texts that there are now."""
    template = extracted()
    TEMPLATE.write_text(written(template), encoding="utf-8")
    for path, catalogue in translations():
        catalogue.update(template)
        catalogue.obsolete.clear()
        path.write_text(written(catalogue), encoding="utf-8")


def wrong() -> Iterator[str]:
    """What is amiss, a line each."""
    template = extracted()
    if not TEMPLATE.is_file() or TEMPLATE.read_text(encoding="utf-8") != written(template):
        yield f"{TEMPLATE.name} is not what the source says: run tools/catalogue.py"
    for path, catalogue in translations():
        name = path.parts[-3]
        known = {(each.context, forms_of(each.id)[0]) for each in template if each.id}
        have = {(each.context, forms_of(each.id)[0]): each for each in catalogue if each.id}
        for context, text in sorted(known - have.keys(), key=str):
            yield f"{name}: not translated: {_shown(context, text)}"
        for context, text in sorted(have.keys() - known, key=str):
            yield f"{name}: nothing says this any more: {_shown(context, text)}"
        for (context, text), message in have.items():
            for problem in _wrong_with(message):
                yield f"{name}: {problem}: {_shown(context, text)}"


def _wrong_with(message: Message) -> Iterator[str]:
    if message.fuzzy:
        yield "fuzzy, to be confirmed"
    forms = forms_of(message.string)
    if not all(forms):
        yield "not translated"
        return
    fields = set(FIELD.findall(forms_of(message.id)[-1]))
    if any(set(FIELD.findall(form)) != fields for form in forms[1:] or forms):
        yield "other {names} than the text has"


def forms_of(text: str | Sequence[str] | None) -> Sequence[str]:
    """One, or one a plural form."""
    return (text,) if isinstance(text, str) else text or ("",)


def _shown(context: str | None, text: str) -> str:
    return f"{text!r}" + (f" ({context})" if context else "")


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        found = list(wrong())
        print(*found, sep="\n", end="\n" if found else "")
        sys.exit(1 if found else 0)
    update()
    print(*wrong(), sep="\n")


if __name__ == "__main__":
    main()
