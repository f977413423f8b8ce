"""The access log for those who watch it: heads and proofs for everybody, an entry for whoever may see it.

    GET  /log/checkpoint                    the newest signed head, as text
    GET  /log/key                           the log's key, and the node's as a witness
    GET  /log/heads, /log/heads/SIZE        heads that were signed before
    GET  /log/inclusion?leaf= | ?event=     the path from a leaf to the root of a size (the newest head's)
    GET  /log/consistency?from=&to=         proof that one head begins with another
    GET  /log/entry/EVENT                   an entry with its salt and path: whose it is, their institution's manager
    POST /log/add-checkpoint                this node as a witness of other logs (https://c2sp.org/tlog-witness)
    POST /log/cosignature                   what a witness signed under a head of this log

What is public are hashes over salted lines, sizes and signatures: no personal data, and nothing that a guess confirms.
Errors are one sentence of text with their status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from xinglin.access.audit import heads, notes, receipts, tree, witness
from xinglin.kernel.errors import Invalid, Problem, TooLarge, Unauthenticated
from xinglin.web.guards import house, records

LISTED: Final = 50
LARGEST: Final = 32 << 10  # bytes of what witnesses are sent
BEYOND: Final = 1 << 62

Endpoint = Callable[[Request], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    asked: tuple[tuple[str, Endpoint], ...] = (
        ("/log/checkpoint", checkpoint),
        ("/log/key", keys),
        ("/log/heads", listed),
        ("/log/heads/{size}", one_head),
        ("/log/inclusion", inclusion),
        ("/log/consistency", consistency),
        ("/log/entry/{event}", entry),
    )
    sent = (("/log/add-checkpoint", add_checkpoint), ("/log/cosignature", cosignature))
    return [
        *(Route(path, endpoint, methods=["GET"]) for path, endpoint in asked),
        *(Route(path, endpoint, methods=["POST"]) for path, endpoint in sent),
    ]


def plainly(endpoint: Endpoint) -> Endpoint:
    """Problems as text for programs, not as pages."""

    @wraps(endpoint)
    async def plain(request: Request) -> Response:
        try:
            return await endpoint(request)
        except witness.OtherSize as problem:
            return PlainTextResponse(f"{problem.size}\n", 409, media_type="text/x.tlog.size")
        except Problem as problem:
            return PlainTextResponse(f"{problem}\n", problem.status)

    return plain


# heads and proofs: public ---------------------------------------------------------------------------------------------


@plainly
async def checkpoint(request: Request) -> Response:
    async with house(request).database.connection() as connection:
        return PlainTextResponse((await heads.head(connection)).text)


@plainly
async def keys(request: Request) -> Response:
    async with house(request).database.connection() as connection:
        signers = await heads.signers(connection, house(request).settings)
    return PlainTextResponse("".join(f"{signer.key.text}\n" for signer in signers))


@plainly
async def listed(request: Request) -> Response:
    async with house(request).database.connection() as connection:
        found = await heads.listed(connection, _number(request, "before", BEYOND), LISTED)
    return JSONResponse({"heads": [{"size": head.size, "root": head.root.hex(), "note": head.text} for head in found]})


@plainly
async def one_head(request: Request) -> Response:
    async with house(request).database.connection() as connection:
        return PlainTextResponse((await heads.head(connection, _whole(request.path_params["size"], "size"))).text)


@plainly
async def inclusion(request: Request) -> Response:
    event = request.query_params.get("event", "")
    async with house(request).database.connection() as connection:
        leaf = await receipts.leaf(connection, event) if event else _number(request, "leaf")
        size = _number(request, "size", -1)
        found = await tree.inclusion(connection, leaf, size if size >= 0 else (await heads.head(connection)).size)
    path = [one.hex() for one in found.path]
    return JSONResponse({"leaf": leaf, "size": found.size, "hash": found.hashed.hex(), "path": path})


@plainly
async def consistency(request: Request) -> Response:
    old, new = _number(request, "from"), _number(request, "to")
    async with house(request).database.connection() as connection:
        path = await tree.consistency(connection, old, new)
    return JSONResponse({"from": old, "to": new, "path": [one.hex() for one in path]})


def _number(request: Request, name: str, otherwise: int | None = None) -> int:
    text = request.query_params.get(name, "")
    if not text and otherwise is not None:
        return otherwise
    return _whole(text, name)


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Invalid(f"{name} is not a number.", code="value", expression=name)
    return int(text)


# an entry: for whoever may see it -------------------------------------------------------------------------------------


@plainly
async def entry(request: Request) -> Response:
    if request.state.principal is None:
        raise Unauthenticated("An entry is shown to whoever may see it.", remedy="Sign in, or send a token.")
    found = await receipts.receipt(records(request), request.path_params["event"])
    return JSONResponse(found, headers={"cache-control": "no-store"})


# witnesses ------------------------------------------------------------------------------------------------------------


@plainly
async def add_checkpoint(request: Request) -> Response:
    """Sign another log's head, if it grows from the one signed before."""
    asked = witness.read(await _sent(request))
    signature = await witness.countersign(house(request).database, house(request).settings, asked)
    return PlainTextResponse(signature.line)


@plainly
async def cosignature(request: Request) -> Response:
    """Keep what a known witness signed under a head of ours."""
    head = notes.read(await _sent(request))
    async with house(request).database.connection() as connection:
        return PlainTextResponse(f"{await heads.accept(connection, head)}\n")


async def _sent(request: Request) -> str:
    body = await request.body()
    if len(body) > LARGEST:
        raise TooLarge("That is no head of a log.", remedy="Send the text of one head.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Invalid("That is not text.", remedy="Send the text of one head.") from error
