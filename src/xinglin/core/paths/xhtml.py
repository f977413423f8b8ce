"""FHIR's rules for a narrative's XHTML (R4, narrative.html, txt-1 and txt-2)."""

from __future__ import annotations

from xml.parsers import expat

_ELEMENTS = frozenset(
    """
    a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img
    li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
    """.split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset
    cite class color cols colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name
    nowrap rel rev rowspan rules scope shape span src start style summary tabindex title type valign value vspace
    width xml:lang xmlns xml:space
    """.split()  # noqa: SIM905
)
_HARMFUL = ("javascript:", "vbscript:", "data:text")


class _Forbidden(Exception):
    pass


def is_narrative(text: str) -> bool:
    """One well-formed `div` with basic formatting, no scripts, forms or outside objects, and some content."""
    reader = _Reader()
    try:
        reader.parser.Parse(text.encode("utf-8", "replace"), True)
    except (_Forbidden, expat.ExpatError):
        return False
    return reader.content


class _Reader:
    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.depth = 0
        self.parser.EndElementHandler = self.end
        self.content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in _ELEMENTS or (self.depth == 0 and name != "div"):
            raise _Forbidden(name)
        for attribute, value in attributes.items():
            if attribute not in _ATTRIBUTES or value.strip().lower().startswith(_HARMFUL):
                raise _Forbidden(attribute)
        self.depth += 1
        self.content = self.content or name == "img"

    def end(self, name: str) -> None:
        self.depth -= 1

    def characters(self, text: str) -> None:
        self.content = self.content or bool(text.strip())

    def doctype(self, *_: object) -> None:
        """No entities of its own: they are how XML is made to explode."""
        raise _Forbidden("doctype")
