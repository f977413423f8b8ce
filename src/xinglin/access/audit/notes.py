"""Signed heads: what a log says its tree is, and what witnesses say they saw. Text that people can read and keep.

A head is a C2SP checkpoint in a signed note; witnesses add C2SP cosignatures, so that witnesses and monitors made for
other logs can serve this one.

    hospital.example/log                        origin: the log's name
    41                                          leaves
    qlL4...=                                    root hash, base64
                                                (empty)
    — hospital.example/log Az3grl...=           the log's signature: 4 bytes of key id, Ed25519 over the text above
    — watcher.example/witness 7ZVr...=          a cosignature: key id, time, Ed25519 over "cosignature/v1", time, text

Formats: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from xinglin.access.audit.merkle import HASH
from xinglin.kernel.errors import Invalid

LOG: Final = 1
WITNESS: Final = 4
"""Kinds of keys, as C2SP numbers them: what one signs is never taken for what the other signs."""
LONGEST: Final = 16 << 10  # bytes of a head with its signatures
_NAME: Final = re.compile(r"[^\s+]{1,200}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key by the name that its signatures bear. `kind`: LOG or WITNESS."""

    name: str
    public: bytes
    kind: int = LOG

    @property
    def id(self) -> bytes:
        return sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The key in one line, as it is handed on: name+id+key."""
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([self.kind]) + self.public)}"

    def signed(self, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def key_of_text(text: str) -> Key:
    """The key of one line; Invalid where it is none."""
    name, _, rest = text.strip().partition("+")
    id, _, encoded = rest.partition("+")
    raw = _bytes(encoded)
    if _NAME.fullmatch(name) and raw and len(raw) == 33 and raw[0] in (LOG, WITNESS):
        key = Key(name, raw[1:], raw[0])
        if key.id.hex() == id:
            return key
    raise Invalid("This is not a key.", remedy="A key is one line: name+12345678+base64.")


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with the name it signs under."""

    key: Key
    private: Ed25519PrivateKey

    @classmethod
    def of(cls, name: str, seed: bytes, kind: int = LOG) -> Signer:
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(Key(name, private.public_key().public_bytes_raw(), kind), private)


@dataclass(frozen=True, slots=True)
class Signature:
    """A line below a head: who signed, with which key, and the bytes that follow the key's id."""

    name: str
    id: bytes
    value: bytes

    @property
    def line(self) -> str:
        return f"— {self.name} {_base64(self.id + self.value)}\n"

    @property
    def at(self) -> int:
        """When a witness signed, seconds since 1970; 0 for a log's own signature."""
        return int.from_bytes(self.value[:8], "big") if len(self.value) == 72 else 0


@dataclass(frozen=True, slots=True)
class Head:
    """A tree by its size and root, with the signatures that came with it."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[Signature, ...] = ()

    @property
    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @property
    def text(self) -> str:
        return f"{self.body}\n" + "".join(one.line for one in self.signatures)

    def signed(self, signer: Signer) -> Head:
        """With the log's signature."""
        made = Signature(signer.key.name, signer.key.id, signer.private.sign(self.body.encode()))
        return self.also(made)

    def cosigned(self, signer: Signer, at: int) -> Signature:
        """The cosignature of a witness, at a time in seconds since 1970."""
        value = at.to_bytes(8, "big") + signer.private.sign(self._witnessed(at))
        return Signature(signer.key.name, signer.key.id, value)

    def _witnessed(self, at: int) -> bytes:
        return f"cosignature/v1\ntime {at}\n{self.body}".encode()

    def also(self, *more: Signature) -> Head:
        kept = [one for one in self.signatures if all((one.name, one.id) != (new.name, new.id) for new in more)]
        return Head(self.origin, self.size, self.root, (*kept, *more))

    def signature_of(self, key: Key) -> Signature | None:
        """The signature that the key has made under this head, if it has."""
        for one in self.signatures:
            if (one.name, one.id) == (key.name, key.id) and self._holds(key, one):
                return one
        return None

    def _holds(self, key: Key, one: Signature) -> bool:
        if key.kind == LOG:
            return key.signed(one.value, self.body.encode())
        return len(one.value) == 72 and key.signed(one.value[8:], self._witnessed(one.at))


def read(text: str) -> Head:
    """A head as it is passed on; Invalid where it is none. Its signatures are not judged."""
    body, _, below = text.partition("\n\n")
    lines = body.split("\n")
    root = _bytes(lines[2]) if len(lines) == 3 else None
    if len(text) > LONGEST or not root or len(root) != HASH or not _SIZE.fullmatch(lines[1]) or not lines[0]:
        raise Invalid("This is not the head of a log.", remedy="A head has three lines, an empty one, and signatures.")
    return Head(lines[0], int(lines[1]), root, tuple(map(_signature, below.splitlines())))


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    raw = _bytes(encoded)
    if dash != "—" or not _NAME.fullmatch(name) or not raw or len(raw) < 5:
        raise Invalid("A signature below the head is damaged.", remedy="Fetch the head again.")
    return Signature(name, raw[:4], raw[4:])


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
