"""The documentation site: it builds strictly, is complete, and requests nothing from elsewhere."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from needs import require
from pages import PAGES
from places import ROOT

import r2rise
import r2rise_service.client

CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]

LOADS = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}
"""Elements whose address a browser requests by itself."""

ON_DEMAND = {
    "api.github.com": "the theme shows facts of a repository that the configuration names",
    "cdn.jsdelivr.net": "of Python that runs in pages",
    "unpkg.com": "of diagrams, enlarged pictures, Python that runs in pages, very old browsers",
}
"""Hosts in the theme's scripts: what is loaded from there, for features that no page uses."""

FEATURES = re.compile(
    r"class=\"[^\"]*\b(mermaid|glightbox|pyodide)\b|<meta name=\"repo|data-md-source"
)
"""What turns these features on."""


class Page(HTMLParser):
    """The anchors of a page, its links, and what a browser loads for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        addresses = [given[name] for name in ("href", "src", "data", "poster") if name in given]
        addresses += [part.split()[0] for part in given.get("srcset", "").split(",") if part]
        self.links += addresses
        if tag in LOADS:
            self.loaded += addresses


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built in a copy of the documentation."""
    found = subprocess.run(
        [sys.executable, "-m", "zensical", "--version"], capture_output=True, check=False
    )
    require(found.returncode == 0, "needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    for package in ("r2rise", "service"):
        (folder / package).symlink_to(ROOT / package)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    """The built pages by their path in the site."""
    return {
        path.relative_to(site).as_posix(): Page(path.read_text()) for path in site.rglob("*.html")
    }


def in_navigation(entries: list) -> list[str]:
    """Return the files of a navigation, in their order."""
    targets = [target for entry in entries for target in entry.values()]
    return [
        name
        for target in targets
        for name in ([target] if isinstance(target, str) else in_navigation(target))
    ]


def test_every_page_is_in_the_navigation_once():
    assert sorted(in_navigation(CONFIG["nav"])) == sorted(PAGES.keys() - {"README.md"})


def test_every_page_is_built(pages):
    assert pages.keys() == {
        "404.html", *(name.removesuffix(".md") + ".html" for name in in_navigation(CONFIG["nav"]))
    }  # fmt: skip


@pytest.mark.parametrize("name", r2rise.__all__)
def test_every_public_name_has_a_heading(name, pages):
    assert any(f"r2rise.{name}" in page.ids for page in pages.values())


@pytest.mark.parametrize("name", r2rise_service.client.__all__)
def test_every_name_of_the_client_has_a_heading(name, pages):
    ends = f".{name}"
    assert any(one.endswith(ends) for one in pages["api/client.html"].ids)


def test_links_lead_to_files_and_anchors_of_the_site(site, pages):
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or name == "404.html":
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            assert target.exists(), f"{name}: {link}"
            found = pages.get(target.resolve().relative_to(site).as_posix())
            if parts.fragment and found:
                assert unquote(parts.fragment) in found.ids, f"{name}: {link}"


def test_pages_load_nothing_from_elsewhere(pages):
    for name, page in pages.items():
        assert not [one for one in page.loaded if urlsplit(one).netloc], name


def test_stylesheets_load_nothing_from_elsewhere(site):
    for path in site.rglob("*.css"):
        loaded = re.findall(r"(?:url\(|@import\s*)[\"']?((?:https?:)?//[^\"')]+)", path.read_text())
        assert not loaded, path.name


def test_scripts_request_nothing_from_elsewhere(site):
    texts = [path.read_text() for path in site.rglob("*.js")]
    hosts = set(re.findall(r"(?:https?:)?//([\w-]+(?:\.[\w-]+)+)/", "".join(texts)))
    assert hosts - {"www.w3.org"} <= ON_DEMAND.keys()
    for path in site.rglob("*.html"):
        assert not FEATURES.search(path.read_text()), path.name


def test_the_search_index_has_every_page(site):
    index = json.loads((site / "search.json").read_text())
    found = {item["location"].partition("#")[0] for item in index["items"]}
    assert {name.removesuffix(".md") + ".html" for name in PAGES if name != "README.md"} <= found
