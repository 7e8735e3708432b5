"""A walk over the portal as a browser without JavaScript sees it: every link, every form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from tests.portal.visiting import Person

MOST_PAGES = 400
_LINKS = {"a": "href", "script": "src", "link": "href", "use": "href"}


@dataclass(slots=True)
class Form:
    method: str
    action: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)  # that may send it
    page: str = ""

    def sendings(self) -> Iterator[dict[str, list[str]]]:
        """What each of its buttons would send."""
        for name, value in self.buttons or [("", "")]:
            yield self.fields | ({name: [value]} if name else {})


class _Page(HTMLParser):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.by_id: dict[str, Form] = {}
        self._form: Form | None = None
        self._select = ""
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _LINKS and _LINKS[tag] in given:
            self.links.append(urljoin(self.path, given[_LINKS[tag]]))
        if tag == "form":
            self._form = Form(
                given.get("method", "get").lower(),
                urljoin(self.path, given.get("action", "") or self.path),
                page=self.path,
            )
            self.forms.append(self._form)
            if "id" in given:
                self.by_id[given["id"]] = self._form
        form = self.by_id.get(given.get("form", ""), self._form)
        name = given.get("name", "")
        if form is not None:
            self._take_field(form, tag, name, given)

    def _take_field(self, form: Form, tag: str, name: str, given: dict[str, str]) -> None:
        if tag == "button" and given.get("type", "submit") == "submit" and "disabled" not in given:
            form.buttons.append((name, given.get("value", "")))
        elif tag == "input" and name and "disabled" not in given:
            kind = given.get("type", "text")
            if kind != "radio" or "checked" in given:  # boxes are sent ticked
                is_box = kind in ("checkbox", "radio")
                form.fields.setdefault(name, []).append(given.get("value", "on" * is_box))
        elif tag == "option" and self._select:
            is_chosen = "selected" in given or self._select not in form.fields
            if is_chosen:
                form.fields[self._select] = [given.get("value", "")]
        elif tag == "select":
            self._select = name
        elif tag == "textarea" and name:
            self._area = name
            form.fields.setdefault(name, [""])

    def handle_data(self, data: str) -> None:
        if self._area and self._form is not None:
            self._form.fields[self._area] = [data]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""


@dataclass(slots=True)
class Walk:
    pages: dict[str, str] = field(default_factory=dict)  # HTML by path and query
    forms: list[Form] = field(default_factory=list)
    broken: list[tuple[str, str, int]] = field(default_factory=list)  # (from, to, status)
    files: set[str] = field(default_factory=set)


def walk(person: Person, begin: str = "/portal", language: str = "en") -> Walk:
    """Follow every link within the portal, a page of each shape and argument once."""
    found, waiting = Walk(), [("", begin)]
    seen = {begin}
    while waiting and len(found.pages) < MOST_PAGES:
        came_from, path = waiting.pop(0)
        answer = person.client.get(
            path, follow_redirects=False, headers={"Accept-Language": language}
        )
        if answer.status_code >= 400:
            found.broken.append((came_from, path, answer.status_code))
            continue
        target = answer.headers.get("location", "")
        links = [urljoin(path, target)] if target else []
        if answer.headers.get("content-type", "").startswith("text/html"):
            page = _Page(path)
            page.feed(answer.text)
            found.pages[path] = answer.text
            found.forms += page.forms
            links += page.links
        else:
            found.files.add(path)
        for link in links:
            bare = urldefrag(link)[0]
            if urlsplit(bare).path.startswith("/portal") and bare not in seen:
                seen.add(bare)
                if bare != "/portal/live":
                    waiting.append((path, bare))
    return found
