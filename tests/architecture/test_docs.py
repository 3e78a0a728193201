"""What the repository says about itself holds: links lead somewhere, modules say what they are for."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(
    r"\]\(\s*<?(?P<inline>[^\s)>]+)>?(?:\s+[\"'][^)]*)?\)"  # [text](target "title"), images too
    r"|^\[[^\]]+\]:\s+<?(?P<reference>[^\s>]+)"  # [name]: target
    r"|<(?:a|img)\s[^>]*?(?:href|src)=[\"'](?P<html>[^\"']+)",
    re.MULTILINE,
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
ANCHOR = re.compile(r"<[^>]+\s(?:id|name)=[\"']([^\"']+)")

# Put together here, so that this file does not name one either.
INDEX_HOSTS = [".".join(labels).encode() for labels in (("pypi", "org"), ("files", "pythonhosted", "org"))]


def test_every_relative_link_in_a_document_leads_somewhere() -> None:
    dead = [
        f"{document.relative_to(ROOT)}: {link}" for document, link in _relative_links() if not _leads(document, link)
    ]
    assert not dead, "links that lead nowhere:\n" + "\n".join(dead)


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is the business of whoever installs: their pip is set up for it."""
    naming = [
        str(path.relative_to(ROOT)) for path in _files() if any(host in path.read_bytes() for host in INDEX_HOSTS)
    ]
    assert not naming, f"name a package index: {naming}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path.relative_to(ROOT)) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert not silent, f"without a module docstring: {silent}"


def test_nothing_in_the_source_is_left_for_later() -> None:
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"\b(TODO|FIXME)\b", line)
    ]
    assert not left, f"left for later: {left}"


def test_headings_become_the_anchors_that_a_reader_s_browser_knows() -> None:
    text = "# Break-glass, audited\n\n## `PUT` *twice*\n\n## The [way](x.md) of a change\n\n## Same\n\n## Same\n"
    expected = {"break-glass-audited", "put-twice", "the-way-of-a-change", "same", "same-1"}
    assert _anchors(text) == expected


def _files() -> list[Path]:
    """Every file that is, or is about to be, in the repository; what .gitignore names is not."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def _relative_links() -> Iterator[tuple[Path, str]]:
    for document in _files():
        if document.suffix == ".md":
            text = CODE_SPAN.sub("", FENCE.sub("", document.read_text(encoding="utf-8")))
            for match in LINK.finditer(text):
                link = match["inline"] or match["reference"] or match["html"]
                if not ELSEWHERE.match(link):
                    yield document, link


def _leads(document: Path, link: str) -> bool:
    place, _, anchor = unquote(link).partition("#")
    target = document.parent / place.partition("?")[0] if place else document
    if place.startswith("/") or not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in _anchors(target.read_text(encoding="utf-8"))


def _anchors(text: str) -> set[str]:
    """The fragments under which a Markdown file's headings can be linked to, as the usual code hosts make them."""
    text = FENCE.sub("", text)
    anchors = set(ANCHOR.findall(text))
    seen: dict[str, int] = {}
    for heading in HEADING.findall(text):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return anchors
