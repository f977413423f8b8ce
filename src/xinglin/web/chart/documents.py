"""Documents of the record: what there is, and how a page may show the content safely."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import nh3

from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.words import label

READABLE: Final = ("text/html", "text/plain")
TEXT: Final = "b blockquote br code em h1 h2 h3 h4 h5 h6 hr i p pre section small span strong sub sup u article div"
TABLES: Final = "table caption tbody td tfoot th thead tr dd dl dt li ol ul"
TAGS: Final = frozenset([*TEXT.split(), *TABLES.split()])
"""What a document's HTML may keep: text and tables. No links, images, styles or scripts."""
PREAMBLE: Final = 128
PROGRAMS: Final = (b"MZ", b"\x7fELF", b"#!", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe")
"""How files begin that a computer would run."""
ENDINGS: Final = (
    (0, b"%PDF-", "pdf"), (0, b"\x89PNG\r\n\x1a\n", "png"), (0, b"\xff\xd8\xff", "jpg"), (0, b"GIF8", "gif"),
    (0, b"II*\x00", "tif"), (0, b"MM\x00*", "tif"), (PREAMBLE, b"DICM", "dcm"), (0, b"{\\rtf", "rtf"),
)  # fmt: skip
"""What a file is by how it begins, or what stands at a place in it."""
UNSAID: Final = {"head", "script", "style", "title"}
"""What goes with all that it holds: none of it is the document's text."""


@dataclass(frozen=True, slots=True)
class Document:
    """A DocumentReference: `binary` is the id of the Binary that holds it, "" where it stands inside or elsewhere."""

    id: str
    title: str
    kind: str
    when: str
    author: str
    institution: str
    content_type: str
    binary: str


@dataclass(frozen=True, slots=True)
class Content:
    """A document's content: `html` is safe to show as it is; otherwise `data` is for download as `content_type`."""

    html: str = ""
    data: bytes = b""
    content_type: str = "application/octet-stream"


def documents(items: Iterable[Dated]) -> list[Document]:
    """Documents that stand, newest first."""
    found = [
        _document(item)
        for item in items
        if item.resource["resourceType"] == "DocumentReference" and item.resource.get("status") == "current"
    ]
    return sorted(found, key=lambda document: document.when, reverse=True)


def _document(item: Dated) -> Document:
    resource = item.resource
    attachment = attachment_of(resource)
    url = str(attachment.get("url", ""))
    return Document(
        id=str(resource["id"]),
        title=str(attachment.get("title") or resource.get("description") or label(resource.get("type"))),
        kind=label(resource.get("type")),
        when=item.when,
        author=str(next((a.get("display", "") for a in resource.get("author", ())), "")),
        institution=item.institution_name,
        content_type=str(attachment.get("contentType", "")),
        binary=url.removeprefix("Binary/") if url.startswith("Binary/") else "",
    )


def attachment_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((c.get("attachment", {}) for c in document.get("content", ())), {})


def file_name(id: str, data: bytes) -> str:
    """What a document is saved as: our name, never the sender's, and the ending that its bytes deserve."""
    ending = next((name for at, sign, name in ENDINGS if data.startswith(sign, at)), "bin")
    return f"document-{id}.{ending}"


def without_preamble(data: bytes) -> bytes:
    """A DICOM file whose first 128 bytes, free for any use (PS3.10, 7.1), are those of a program is one no more."""
    if data[PREAMBLE : PREAMBLE + 4] == b"DICM" and data.startswith(PROGRAMS):
        return bytes(PREAMBLE) + data[PREAMBLE:]
    return data


def content_of(holder: Mapping[str, Any]) -> Content:
    """The content of a Binary or an Attachment. HTML is cut down to text and tables; text is escaped."""
    try:
        data = base64.b64decode(holder.get("data", ""), validate=True)
    except (binascii.Error, ValueError):
        return Content()
    content_type = str(holder.get("contentType", "application/octet-stream"))
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in READABLE:
        return Content(data=without_preamble(data), content_type=content_type)
    text = data.decode("utf-8", "replace")
    if kind == "text/plain":
        return Content(html=f"<pre>{nh3.clean_text(text)}</pre>", content_type=content_type)
    return Content(
        html=nh3.clean(text, tags=set(TAGS), attributes={}, link_rel=None, clean_content_tags=UNSAID),
        content_type=content_type,
    )
