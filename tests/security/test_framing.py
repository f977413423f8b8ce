"""HTTP framing on the program as it is served: a request cannot hide in another's body (ASVS 4.2.1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving import Server

pytest_plugins = ("serving",)

HIDDEN = b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMINGS = [
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 44\r\n\r\n0\r\n\r\n",
    b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    b"Content-Length: 0, 44\r\n\r\n",
    b"Content-Length: +0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
]


async def test_a_length_told_in_two_ways_hides_no_request(server: Server) -> None:
    """Request smuggling: after such a head the connection ends with one answer, and what follows is never read."""

    async def told(framing: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\n" + framing + HIDDEN)
        answer = await asyncio.wait_for(reader.read(), 5)  # to the end of the connection
        writer.close()
        return answer

    for framing, answer in zip(FRAMINGS, await asyncio.gather(*map(told, FRAMINGS)), strict=True):
        assert answer.count(b"HTTP/1.1 ") == 1 and answer.startswith(b"HTTP/1.1 4"), (framing, answer)
        assert b"CapabilityStatement" not in answer
