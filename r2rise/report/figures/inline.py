"""SVG figures inside an HTML page."""

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

_REFERENCE = re.compile(r"(^|url\()#([^)]+)")


def inline_svg(draw: Callable[..., None], name: str, description: str) -> str:
    """Draw a figure as an SVG element for an HTML page.

    Args:
        draw: Drawing function that takes a file and a format.
        name: Prefix of every id, so that the ids of several figures do not collide.
        description: Text that screen readers read instead of the figure.
    """
    file = io.BytesIO()
    draw(file, format="svg")
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314  (drawn here)
    ids = {element.get("id") for element in root.iter()}
    referenced: set[str] = set()

    def rename(match: re.Match[str]) -> str:
        if match[2] not in ids:
            return match[0]
        referenced.add(match[2])
        return f"{match[1]}#{name}-{match[2]}"

    for element in root.iter():
        element.tag = _without_namespace(element.tag)
        attributes = {_without_namespace(key): value for key, value in element.items()}
        element.attrib = {key: _REFERENCE.sub(rename, value) for key, value in attributes.items()}
    for element in root.iter():
        id_ = element.attrib.pop("id", None)
        if id_ in referenced:
            element.set("id", f"{name}-{id_}")
    root.attrib |= {"role": "img", "aria-label": description}
    return ElementTree.tostring(root, encoding="unicode")


def _without_namespace(name: str) -> str:
    return name.rpartition("}")[2]
