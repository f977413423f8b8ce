"""Which XHTML a narrative may hold: formatting, tables, images and links, and nothing that runs.

Rules txt-1 and txt-2 of https://hl7.org/fhir/R4/narrative.html#xhtml: one `div`, no scripts, forms, frames,
event handlers or external entities, and some content. Pages show narratives, so a link's scheme is checked too.
"""

from __future__ import annotations

import re
from html.entities import html5
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"
TAGS = frozenset(
    """
    a abbr acronym address b bdo big blockquote br caption center cite code col colgroup dd del dfn div
    dl dt em figure figcaption font h1 h2 h3 h4 h5 h6 hr i img ins kbd li map area ol p pre q s samp
    small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var
    """.split()  # noqa: SIM905  a list of words reads better
)
ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char
    charoff charset cite class clear color colspan compact coords data datetime dir face frame headers
    height href hreflang hspace id ismap lang longdesc name noshade nowrap rel rev rowspan rules scope
    shape size span src start style summary tabindex title type usemap valign value vspace width
    xml:lang xml:space xmlns xml:base
    """.split()  # noqa: SIM905  a list of words reads better
)
LINKS = frozenset({"href", "src", "cite", "longdesc", "usemap", "data"})
SCHEMES = frozenset({"http", "https", "mailto", "tel", "urn", "ftp", "sftp"})
_PLAIN = re.compile(
    r'\s*<div xmlns="http://www\.w3\.org/1999/xhtml"(?: (?:xml:)?lang="[A-Za-z-]+")*>'
    r'(?=[^<>&]*[^<>&\s])(?:[^<>&]++|<a href="https?://[^"<>&\s]*">[^<>&]*</a>|<br ?/>)*+</div>\s*'
)
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)\s*:")
_BLANK = re.compile(r"[\x00-\x20]")
_STYLE_RISK = re.compile(r"expression\s*\(|javascript:|@import|behavior\s*:|-moz-binding|\\", re.IGNORECASE)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})


def is_plain(div: str) -> bool:
    """Text with plain links only: allowed, and told in one match."""
    return _PLAIN.fullmatch(div) is not None


def problem(div: str) -> str | None:
    """Why a narrative's XHTML is not allowed, or None."""
    reader = _Reader()
    try:
        reader.read(div)
    except expat.ExpatError as error:
        return f"is not well-formed XHTML: {expat.errors.messages[error.code]} (line {error.lineno})"
    except _Refused as refusal:
        return str(refusal)
    return None if reader.content else "must hold some text or an image"


class _Refused(Exception):
    pass


class _Reader:
    """Walks the tags of one narrative; raises _Refused at the first that is not allowed."""

    def __init__(self) -> None:
        self.depth = 0
        self.content = False

    def read(self, div: str) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = self.doctype
        parser.ProcessingInstructionHandler = self.instruction
        parser.Parse(_ENTITY.sub(_numeric_entity, div), True)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.depth == 0 and tag != "div":
            raise _Refused(f"must be a div, not <{tag}>")
        if self.depth == 0 and attributes.get("xmlns", "") != XHTML:
            raise _Refused(f'must be in the XHTML namespace: <div xmlns="{XHTML}">')
        if tag not in TAGS:
            raise _Refused(f"must not hold the element <{tag}>")
        for name, value in attributes.items():
            _check_attribute(tag, name, value)
        self.depth += 1
        self.content = self.content or tag == "img"

    def end(self, _: str) -> None:
        self.depth -= 1

    def text(self, data: str) -> None:
        self.content = self.content or not data.isspace()

    def doctype(self, *_: object) -> None:
        raise _Refused("must not hold a document type declaration")

    def instruction(self, *_: object) -> None:
        raise _Refused("must not hold a processing instruction")


def _check_attribute(tag: str, name: str, value: str) -> None:
    if name not in ATTRIBUTES:
        raise _Refused(f"must not hold the attribute '{name}' on <{tag}>")
    if name in LINKS and not _is_safe_link(tag, value):
        raise _Refused(f"must not link with the scheme of '{value[:40]}'")
    if name == "style" and _STYLE_RISK.search(value):
        raise _Refused("must not hold a style that runs anything")


def _is_safe_link(tag: str, value: str) -> bool:
    scheme = _SCHEME.match(_BLANK.sub("", value))
    if scheme is None or scheme[1].lower() in SCHEMES:
        return True
    return tag == "img" and _BLANK.sub("", value).lower().startswith("data:image/")


def _numeric_entity(match: re.Match[str]) -> str:
    """XML knows five named entities and XHTML 253: the others become numbers."""
    if match[1] in _XML_ENTITIES:
        return match[0]
    character = html5.get(match[1] + ";")
    return match[0] if character is None else "".join(f"&#{ord(part)};" for part in character)
