"""Bring the catalogues of texts up to date, or say what is wrong with them.

    .venv/bin/python tools/catalogue.py           # after a text was changed: .pot and each .po
    .venv/bin/python tools/catalogue.py --check   # change nothing; fail where something is amiss

Texts are found in Python and templates by what they are said with (``_``, ``ngettext``,
``pgettext``, ``words``, ``msgid``, ``sentence``); those of tables (``OF_TABLES``) are read from there.
A text that was changed keeps its translation as a fuzzy one, which whoever knows the language
confirms or corrects: the check takes none, and the program uses none.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from bascule import errors
from bascule.api.activity_filter import displays
from bascule.domain.actions import DISPLAY
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
# Errors that a page may answer; and where what they say is not shown as it is: pages that have
# no such act, and what another system said, which a page tells in general (``portal.codes``).
ERRORS = {
    each.__name__
    for each in vars(errors).values()
    if isinstance(each, type) and each.__name__ not in ("ConfigurationError", "EnforcementFailed")
}
READ = ("domain", "identity", "portal", "services")
UNSEEN = (
    "domain/delivery.py",
    "domain/retention.py",
    "domain/security_rules.py",
    "identity/authenticate.py",
    "identity/files.py",
    "identity/id_token.py",
    "identity/oidc.py",
    "identity/provider_http.py",
    "identity/record_key.py",
    "identity/sealing.py",
    "identity/signing_keys.py",
    "identity/tls",
    "identity/tokens.py",
    "services/bindings.py",
    "services/delivery.py",
    "services/groups.py",
    "services/guarded.py",
    "services/plans.py",
    "services/retention.py",
    "services/sinks.py",
    "services/tokens.py",
)
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
        if kind.advice:
            yield "", kind.advice, "domain/weaknesses.py"
    for text in DISPLAY.values():
        yield "action", text, "domain/actions.py"
    for role in BUILTIN_ROLES:
        yield "", role.description, "domain/builtin_roles.py"


def of_errors() -> Iterator[tuple[str, int, str]]:
    """What errors and problems say, and advise: file, line and text; empty for one that is put
    together so that no catalogue can have it (an f-string): ``sentence`` makes those.
    """
    for path in sorted(path for part in READ for path in (SOURCE / part).rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        if not name.startswith(UNSEEN):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
                    yield from ((name, node.lineno, each) for each in _said_by(node))


def _said_by(call: ast.Call) -> Iterator[str]:
    named = {each.arg: each.value for each in call.keywords}
    said = list(call.args[1:2] if getattr(call.func, "id", "") == "Problem" else call.args[:1])
    if "problems" in named:  # each of which says it
        said.clear()
    said += [named[each] for each in ("message", "advice") if each in named]
    for each in said:
        for text in (each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,):
            if isinstance(text, ast.JoinedStr):
                yield ""
            elif isinstance(text, ast.Constant) and text.value:
                yield str(text.value)


def _is_read(folder: str) -> bool:
    parts = Path(folder).relative_to(SOURCE).parts
    return not parts or parts[0] in PARTS


def extracted() -> Catalog:
    """Every text of the source, by file."""
    made = Catalog(header_comment=HEADER)
    found = extract_from_dir(SOURCE, METHODS, OPTIONS, KEYWORDS, directory_filter=_is_read)
    for name, _, text, comments, said_of in sorted(found, key=lambda each: each[:2]):
        made.add(text, locations=[(name, 0)], auto_comments=comments, context=said_of)
    for context, text, name in of_tables():
        made.add(text, locations=[(name, 0)], context=context or None)
    for name, _, text in of_errors():
        if text:
            made.add(text, locations=[(name, 0)])
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
    for name, line, text in of_errors():
        if not text:
            yield f"{name}:{line}: an f-string cannot be translated: say it with sentence()"
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
