"""A passkey authenticator in a few lines, for tests: it does what it is told, also what a real one never would."""

from __future__ import annotations

import json
import secrets
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.encode_cbor import encode_cbor

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class SoftKey:
    origin: str
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    rp_id: str = ""
    handle: bytes = b""

    def create(self, options: str) -> str:
        """The answer to registration options."""
        given = json.loads(options)
        self.rp_id = self.rp_id or given["rp"]["id"]
        self.handle = base64url_to_bytes(given["user"]["id"])
        point = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        credential = bytes(16) + struct.pack(">H", len(self.id)) + self.id + encode_cbor(cose)
        data = self._data(self.flags | ATTESTED) + credential
        return self._answer(
            clientDataJSON=self._client("webauthn.create", given["challenge"]),
            attestationObject=encode_cbor({"fmt": "none", "attStmt": {}, "authData": data}),
        )

    def get(self, options: str, *, handle: bytes | None = None) -> str:
        """The answer to a challenge."""
        given = json.loads(options)
        self.counter += 1 if self.counter else 0
        client, data = self._client("webauthn.get", given["challenge"]), self._data(self.flags)
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=client,
            authenticatorData=data,
            signature=signature,
            userHandle=self.handle if handle is None else handle,
        )

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _data(self, flags: int) -> bytes:
        return sha256(self.rp_id.encode()).digest() + bytes([flags]) + struct.pack(">I", self.counter)

    def _answer(self, **response: bytes) -> str:
        credential: dict[str, Any] = {"id": bytes_to_base64url(self.id), "rawId": bytes_to_base64url(self.id)}
        encoded = {name: bytes_to_base64url(value) for name, value in response.items() if value}
        return json.dumps({**credential, "type": "public-key", "clientExtensionResults": {}, "response": encoded})
