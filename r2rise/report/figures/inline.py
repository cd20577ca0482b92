"""Figures inside a page."""

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

_REFERENCE = re.compile(r"(^|url\()#([^)]+)")


def inline_svg(draw: Callable[..., None], name: str, description: str) -> str:
    """Draw a figure as an SVG element for an HTML page.

    Args:
        draw: One of the drawing functions, that only lacks file and format.
        name: Goes before every id, so that the figures of a page share none.
        description: What is read out instead of the figure.
    """
    file = io.BytesIO()
    draw(file, format="svg")
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314  (our own)
    own = {element.get("id") for element in root.iter()}
    used: set[str] = set()

    def renamed(match: re.Match[str]) -> str:
        if match[2] not in own:
            return match[0]
        used.add(match[2])
        return f"{match[1]}#{name}-{match[2]}"

    for element in root.iter():
        element.tag = _without_namespace(element.tag)
        attributes = {_without_namespace(key): value for key, value in element.items()}
        element.attrib = {key: _REFERENCE.sub(renamed, value) for key, value in attributes.items()}
    for element in root.iter():
        id_ = element.attrib.pop("id", None)
        if id_ in used:
            element.set("id", f"{name}-{id_}")
    root.attrib |= {"role": "img", "aria-label": description}
    return ElementTree.tostring(root, encoding="unicode")


def _without_namespace(name: str) -> str:
    return name.rpartition("}")[2]
