"""The keys by which candidates find each other: any two records worth comparing share one of them. Pure.

Each key asks for two things that agree (an identifier alone is enough); what is mistyped in one is caught by another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from xinglin.access.persons.traits import Traits
from xinglin.core.store.keys import hash64

MOST_SHARING: Final = 50  # records that one key brings together; what more share is a dummy or says nothing
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "i": ("identifier",),
    "n": ("family", "given", "birth-date"),
    "f": ("family", "birth-date"),
    "g": ("given", "birth-date"),
    "y": ("family", "given"),
    "d": ("family", "given"),
    "m": ("family", "given", "middle"),
    "p": ("phone", "birth-date"),
    "q": ("phone", "given"),
    "a": ("address", "given"),
    "h": ("address",),
}
"""A key's mark -> the fields that agree where two records share one; what these weigh ranks candidates."""


def keys_of(traits: Traits) -> Iterator[tuple[str, str]]:
    """Each key with its mark."""
    birth, given, family = traits.birth, traits.given, traits.family
    yield from (("i", one) for one in traits.strong)
    if len(birth) == 8:
        yield from (("n", f"{name}:{birth}") for name in traits.spelt)
        yield from (("f", f"{family}:{birth}"),) if family else ()
        yield from (("g", f"{name}:{birth}") for name in {given, *traits.nicknames} if name)
        yield from (("y", f"{name}:{birth[:4]}") for name in traits.spelt)
        low, high = sorted((birth[4:6], birth[6:]))
        yield from (("d", f"{name}:{low}{high}") for name in traits.spelt)
        yield from (("p", f"{phone}:{birth}") for phone in traits.phones)
    yield from (("q", f"{phone}:{given}") for phone in traits.phones if given)
    if given and family and traits.middle:
        yield "m", f"{family}:{given}:{traits.middle}"
    if traits.house and traits.street:
        place = f"{traits.house}:{traits.street}"
        yield "h", place
    elif traits.street and given:
        yield "a", f"{traits.street}:{traits.line}:{given}"


def wide_keys_of(traits: Traits) -> Iterator[tuple[str, str]]:
    """More keys, for sets small enough: whoever shares anything telling is compared, where much else is wrong."""
    yield from keys_of(traits)
    birth, given, family = traits.birth, traits.given, traits.family
    year, day = birth[:4], birth[4:]
    yield from (("b", birth),) if len(birth) == 8 else ()
    pairs = [(given, year), (family, year), (given, day), (family, day), (given, traits.city), (family, given)]
    pairs += [(given, traits.postcode), (family, traits.postcode), (traits.house, traits.postcode)]
    pairs += [(family, given[:1] + traits.middle[:1]), (traits.house, traits.city), (given, family)]
    pairs += [(traits.street, traits.street), (traits.line, traits.line), (traits.postcode, day)]
    yield from ((f"w{n}", f"{x}:{y}") for n, (x, y) in enumerate(pairs) if x and y)


def blocks_of(traits: Traits, *, wide: bool = False) -> dict[int, str]:
    """The keys as they are stored, each with its mark."""
    return {hash64(f"{mark}:{key}"): mark for mark, key in (wide_keys_of if wide else keys_of)(traits)}


def identifier_block(identifier: str) -> int:
    """The key of a strong identifier, kind:value."""
    return hash64(f"i:{identifier}")
