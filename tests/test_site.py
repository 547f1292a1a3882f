"""The documentation as a site: it is built without a warning, asks no other host for anything, and every page is in its navigation."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scaling.cli.docs import section_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data", "form": "action"}
OTHER_HOST = re.compile(r"(?:https?:)?//", re.I)
FROM_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]+)""", re.I)
FROM_SCRIPT = re.compile(r"""(?:fetch|import|importScripts|open|src\s*=|href\s*=)\s*\(?\s*["'`]((?:https?:)?//[^"'`]+)""", re.I)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built as readers build it; a warning is an error, so each link within the pages leads somewhere."""
    if importlib.util.find_spec("sphinx") is None:
        assert not os.environ.get("SCALING_CI"), 'the site is built by Sphinx: pip install ".[docs]"'
        pytest.skip('the site is built by Sphinx: pip install ".[docs]"')
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(out / "kept"), str(DOCS), str(out / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


class Loads(HTMLParser):
    """Collects what a page makes a browser load: (tag, address)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        names = [LOADING[tag]] if tag in LOADING else []
        if tag == "link" and given.get("rel") not in ("canonical", "license"):
            names.append("href")
        self.found += [(tag, given[name]) for name in names if given.get(name)]
        self.found += [(tag, part.split()[0]) for part in (given.get("srcset") or "").split(",") if part.strip()]
        self.found += [(tag, address) for address in FROM_STYLE.findall(given.get("style") or "")]


def elsewhere(path: Path) -> list[tuple[str, str]]:
    """What a file of the site would load from another host."""
    text = path.read_text()
    if path.suffix == ".html":
        return [each for each in Loads(text).found if OTHER_HOST.match(each[1])]
    return [(path.suffix, address) for address in (FROM_STYLE if path.suffix == ".css" else FROM_SCRIPT).findall(text)]


def test_nothing_is_asked_of_another_host(site):
    files = [path for ending in ("html", "css", "js") for path in site.rglob(f"*.{ending}")]
    assert len(files) > len(PAGES)
    assert [(path.name, *each) for path in files for each in elsewhere(path)] == []


def test_what_a_page_loads_is_there(site):
    """Pictures for the dark theme too, which are added to the pages beside those that Sphinx finds itself."""
    loaded = {
        (path.name, address.partition("?")[0].partition("#")[0])
        for path in site.glob("*.html")
        for _, address in Loads(path.read_text()).found
    }
    assert any(address.endswith("_dark.webp") for _, address in loaded)
    assert [each for each in loaded if each[1] and not each[1].startswith("data:") and not (site / each[1]).is_file()] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/x.css">'),
        ("a.html", '<img srcset="a.png 1x, https://example.org/b.png 2x">'),
        ("a.html", '<p style="background: url(https://example.org/b.png)">'),
        ("a.css", "@import 'https://fonts.example/x.css';"),
        ("a.css", "a { src: url(//fonts.example/x.woff2) }"),
        ("a.js", 'fetch("https://example.org/count")'),
    ],
)
def test_what_would_be_asked_of_another_host_is_seen(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert elsewhere(tmp_path / name)


def test_the_site_has_each_page_with_its_title_and_navigation(site):
    for page in PAGES:
        html = (site / f"{page.stem}.html").read_text()
        assert "<h1>" in html, page.name
        for unreached in (
            "<pre>",
            '<div class="table-wrapper',
            'role="heading">',
        ):  # what scrolls takes the keyboard, a heading has its level
            assert unreached not in html, page.name
    navigation = (site / "index.html").read_text().partition('class="sidebar-tree"')[2].partition("</aside>")[0]
    for page in PAGES:
        assert page.name == "index.md" or f'href="{page.stem}.html"' in navigation, page.name
    for kind in ("Tutorial", "How to train", "How to use other machines", "How to ask your runs", "Reference", "Explanations"):
        assert f">{kind}</span>" in navigation


def test_the_index_lists_every_page_once_by_its_title():
    listed = re.findall(r"^- \[([^\]]+)\]\((\w+\.md)\)", (DOCS / "index.md").read_text(), re.M)
    titles = sorted(
        (page.name, page.read_text().partition("\n")[0].removeprefix("# ")) for page in PAGES if page.name != "index.md"
    )
    assert sorted((name, title) for title, name in listed) == titles


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("*.md")), *PAGES], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    """Those of the pages to files beside docs/ and those of the README too, which the site does not have. Other hosts are not asked."""
    for address in LINK.findall(re.sub(r"^\s*```.*?^\s*```", "", path.read_text(), flags=re.M | re.S)):
        if "://" in address:
            assert re.fullmatch(r"https?://[\w.-]+\.[a-z]{2,}(?::\d+)?(?:/\S*)?", address), address
            continue
        name, _, section = address.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), address
        if section and file.suffix == ".md":
            section_of(file.read_text(), section)
