"""A unit's text to writes: bundles taken apart, ids made stable, each resource checked against its structure.

Ids, so that a repeated load ends in the same state:
  1. the resource's own id;
  2. else the UUID of the entry's fullUrl (urn:uuid:...);
  3. else a UUID made from the custodian, the entry's text and which occurrence of it this is in its bundle.

An entry to be created (POST) that was created before is left as it is now, even if it was changed since; one to be
put, and single resources, bring the record to what they say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5

import msgspec

from xinglin.core.rest.gate import Write
from xinglin.core.schema import decode
from xinglin.exchange.loading.report import Refusal, refusal_of
from xinglin.kernel.errors import Invalid, Problem

NAMESPACE = UUID("6f1d3a52-7a53-5d0e-9f4e-0b1f6c0a9d11")  # any constant: ours alone
URN = "urn:uuid:"
TAKEN_APART = frozenset({"transaction", "batch", "collection", "searchset"})
KEPT_WHOLE = frozenset({"document", "message"})  # these are resources in their own right


class Request(msgspec.Struct):
    method: str
    url: str
    ifNoneExist: str | None = None


class Entry(msgspec.Struct):
    fullUrl: str = ""
    resource: msgspec.Raw = msgspec.Raw(b"")
    request: Request | None = None


class Envelope(msgspec.Struct):
    """What a load needs of any text: whether it is a Bundle, of which kind, and the raw slices of its entries."""

    resourceType: str = ""
    type: str = ""
    entry: list[Entry] = []


ENVELOPE = msgspec.json.Decoder(Envelope)


@dataclass(frozen=True, slots=True)
class Unit:
    """What one worker takes at a time: texts of one source, each with its line (None: the whole document)."""

    source: str
    custodian: str
    pieces: tuple[tuple[int | None, bytes], ...]

    @property
    def size(self) -> int:
        return sum(len(text) for _, text in self.pieces)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Writes that are stored together or not at all, and where each came from (line, entry)."""

    writes: tuple[Write, ...]
    places: tuple[tuple[int | None, int | None], ...]
    whole: bool  # a bundle: one refusal refuses all


@dataclass(frozen=True, slots=True)
class Refused:
    refusals: tuple[Refusal, ...]
    resources: int


def parcels(source: str, custodian: str, pieces: Sequence[tuple[int | None, bytes]]) -> Iterator[Parcel | Refused]:
    """Bundles each as a parcel of its own; single resources together, as long as no id comes twice."""
    writes: list[Write] = []
    places: list[tuple[int | None, int | None]] = []
    seen: set[tuple[str, str | None]] = set()
    for line, text in pieces:
        try:
            bundle = _bundle(text)
            write = None if bundle else _single(text, custodian)
        except Problem as error:
            yield Refused(tuple(refusal_of(issue, source, line) for issue in error.issues), 1)
            continue
        if bundle:
            yield _taken_apart(bundle, source, custodian, line)
            continue
        assert write is not None
        if (write.type, write.id) in seen:  # a later state of the same resource: after, not with, the earlier
            yield Parcel(tuple(writes), tuple(places), whole=False)
            writes, places, seen = [], [], set()
        seen.add((write.type, write.id))
        writes.append(write)
        places.append((line, None))
    if writes:
        yield Parcel(tuple(writes), tuple(places), whole=False)


def _bundle(text: bytes) -> Envelope | None:
    """The bundle to take apart, or None where the text is a resource to be stored as it is."""
    if b'"Bundle"' not in text:
        return None
    try:
        envelope = ENVELOPE.decode(text)
    except msgspec.ValidationError as error:
        raise _misshapen(error) from error
    except msgspec.DecodeError as error:
        raise _not_json(text, error) from error
    if envelope.resourceType != "Bundle" or envelope.type in KEPT_WHOLE:
        return None
    if envelope.type not in TAKEN_APART:
        raise Invalid(
            f"Bundles of type {envelope.type or 'none'} are not loaded.",
            expression="Bundle.type",
            remedy="Give transaction, batch, collection or searchset.",
        )
    return envelope


def _single(text: bytes, custodian: str) -> Write:
    resource = _read(text)
    resource_id = str(resource.setdefault("id", _made_id(custodian, text, 0)))
    return Write("PUT", resource["resourceType"], resource_id, resource, keep_id=True)


def _taken_apart(bundle: Envelope, source: str, custodian: str, line: int | None) -> Parcel | Refused:
    """All entries as writes, or every reason why not."""
    writes: list[Write] = []
    refusals: list[Refusal] = []
    met: Counter[bytes] = Counter()
    seen: dict[tuple[str, str | None], int] = {}
    for number, entry in enumerate(bundle.entry):
        try:
            write = _of_entry(entry, custodian, met)
            first = seen.setdefault((write.type, write.id), number) if write.id else number
            if first != number:
                raise Invalid(
                    f"{write.type}/{write.id} is in the bundle twice, first as entry[{first}].", code="duplicate"
                )
            writes.append(write)
        except Problem as error:
            refusals.extend(refusal_of(issue, source, line, number) for issue in error.issues)
    if refusals:
        return Refused(tuple(refusals), len(bundle.entry))
    return Parcel(tuple(writes), tuple((line, number) for number in range(len(writes))), whole=True)


def _of_entry(entry: Entry, custodian: str, met: Counter[bytes]) -> Write:
    method, target, condition = _asked(entry.request)
    if method == "DELETE":
        resource_type, _, resource_id = target.partition("/")
        return Write("DELETE", resource_type, resource_id or None, condition=condition)
    text = bytes(entry.resource)
    if not text:
        raise Invalid("The entry has no resource.", expression="resource", code="required")
    resource = _read(text)
    resource_type = resource["resourceType"]
    named = _named_id(resource, target, entry.fullUrl)
    if named is None:
        named = _made_id(custodian, text, met[text])
        met[text] += 1
    resource["id"] = named
    full_url = entry.fullUrl or None
    return Write(method, resource_type, named, resource, condition=condition, full_url=full_url, keep_id=True)


def _asked(request: Request | None) -> tuple[str, str, str | None]:
    """Method, target and condition of the entry's request; a collection's entries have none."""
    if request is None:
        return "PUT", "", None
    if request.method not in ("POST", "PUT", "DELETE"):
        raise Invalid(
            f"{request.method} is not loaded.", expression="request.method", remedy="POST, PUT and DELETE are."
        )
    target, question, query = request.url.partition("?")
    if request.method == "POST":
        return "POST", "", request.ifNoneExist
    return request.method, target, query if question else None


def _named_id(resource: dict[str, object], target: str, full_url: str) -> str | None:
    """The id that the input itself gives; a PUT's address and its resource must agree."""
    own = resource.get("id")
    addressed = target.partition("/")[2] or None
    if own and addressed and own != addressed:
        raise Invalid(f"The resource's id is {own}, its address says {addressed}.", expression="id")
    if own or addressed:
        return str(own or addressed)
    return full_url.removeprefix(URN).lower() if full_url.startswith(URN) else None


def _made_id(custodian: str, text: bytes, occurrence: int) -> str:
    digest = blake2b(text, digest_size=16).hexdigest()
    return str(uuid5(NAMESPACE, f"{custodian}|{digest}|{occurrence}"))


def _read(text: bytes) -> dict[str, Any]:
    """The resource, sound in structure; text that is no FHIR JSON at all gets a plain answer."""
    if text[:1] == b"{":
        return decode.read(text)
    raise _not_json(text, None)


def _not_json(text: bytes, error: Exception | None) -> Invalid:
    start = text.lstrip()[:1]
    if start == b"<":
        return Invalid("This is XML.", code="structure", remedy="Xinglin reads FHIR as JSON; convert it.")
    if start == b"[":
        return Invalid("This is a JSON array.", code="structure", remedy="Give a Bundle, or one resource a line.")
    if start != b"{":
        return Invalid("This is not FHIR JSON.", code="structure", remedy="A FHIR file begins with {.")
    return Invalid(f"The JSON is malformed: {error}.", code="structure")


def _misshapen(error: msgspec.ValidationError) -> Invalid:
    """msgspec ends its sentence with the place as `$.entry[3].request`."""
    text, _, place = str(error).partition(" - at `$")
    return Invalid(f"{text}.", code="structure", expression="Bundle" + place.rstrip("`"))
