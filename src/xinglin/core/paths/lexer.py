"""Characters to tokens (FHIRPath N1, section 9.2 and the grammar's lexer rules)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import PathError

MAX_LENGTH = 100_000
"""Characters of an expression: the longest in the R4 definitions has about 2,000."""

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f]+|//[^\n\r]*|/\*(?:[^*]|\*(?!/))*\*/)
  | (?P<time>@T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)
  | (?P<datetime>@\d{4}(?:-\d\d(?:-\d\d)?)?T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)
  | (?P<date>@\d{4}(?:-\d\d(?:-\d\d)?)?)
  | (?P<number>\d+(?:\.\d+|L\b)?)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<quoted>`(?:[^`\\]|\\.)*`)
  | (?P<constant>%(?:`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'|[A-Za-z_][A-Za-z0-9_]*))
  | (?P<special>\$(?:this|index|total)\b)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<symbol><=|>=|!=|!~|[.\[\](){}+\-*/&|<>=~,])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

_ESCAPE = re.compile(r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` names the alternative of the grammar; `text` is already unescaped for strings and quoted names."""

    kind: str
    text: str
    position: int


def tokenize(source: str) -> list[Token]:
    """All tokens, ending in one of kind `end`. Raises PathError at the first character that starts no token."""
    if len(source) > MAX_LENGTH:
        long = f"the expression has more than {MAX_LENGTH} characters"
        raise PathError(long, source=source, position=MAX_LENGTH, phase="syntax")
    tokens: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise _unknown(source, position)
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(Token(kind, _text(kind, match.group(), source, position), position))
        position = match.end()
    tokens.append(Token("end", "", position))
    return tokens


def _text(kind: str, raw: str, source: str, position: int) -> str:
    if kind == "constant":
        kind, raw = ("string", raw[1:]) if raw[1] in "`'" else ("name", raw[1:])
    if kind in ("string", "quoted"):
        return _unescape(raw[1:-1], source, position)
    return raw[1:] if kind in ("time", "date", "datetime") else raw


def _unescape(raw: str, source: str, position: int) -> str:
    """Where a backslash escapes nothing it is left out (N1, section 4.1.2); two halves of UTF-16 are one character."""

    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if len(code) == 1:
            return _ESCAPES.get(code, code)
        if len(code) == 5 and "\ud800" <= chr(int(code[1:], 16)) <= "\udfff":
            half = f"\\{code} is half of a character"
            remedy = "Write both halves, or the character itself."
            at = position + 1 + match.start()
            raise PathError(half, source=source, position=at, phase="syntax", remedy=remedy)
        return bytes.fromhex(code.replace("\\", "").replace("u", "")).decode("utf-16-be")

    return _ESCAPE.sub(one, raw) if "\\" in raw else raw


def _unknown(source: str, position: int) -> PathError:
    char = source[position]
    if char in "'`":
        text = f"the text opened by {char} is never closed"
    elif source.startswith("/*", position):
        text = "the comment is never closed"
    else:
        text = f"unexpected character {char!r}"
    return PathError(text, source=source, position=position, phase="syntax")
