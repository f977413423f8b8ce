"""The weights a node judges by: those shipped, or its own, each set under a version, one of them in force."""

from __future__ import annotations

from typing import Any

import orjson

from xinglin.access.persons.matching import Probabilistic
from xinglin.access.persons.weights import Weights, shipped
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, NotFound


async def in_force(connection: Connection) -> Probabilistic:
    """The matcher of the weights adopted last."""
    version = await connection.fetchval(
        "SELECT version FROM person_weights WHERE adopted IS NOT NULL ORDER BY adopted DESC LIMIT 1"
    )
    if version is None:
        return Probabilistic(shipped())
    if version not in _known:
        _known.clear()
        _known[version] = Probabilistic(await stored(connection, version))
    return _known[version]


_known: dict[str, Probabilistic] = {}


async def stored(connection: Connection, version: str) -> Weights:
    """A set of weights by its version."""
    if version == shipped().version:
        return shipped()
    text: Any = await connection.fetchval("SELECT weights FROM person_weights WHERE version = $1", version)
    if text is None:
        raise NotFound(f"There are no weights {version!r}.", remedy="`xinglin persons train` makes some.")
    return Weights.of(orjson.loads(text))


async def must_be_new(connection: Connection, version: str) -> None:
    """Raise Conflict where there is such a set already: asked before hours of work, not after them."""
    if version in await _versions(connection):
        raise Conflict(f"There are weights {version!r} already.", remedy="Name these otherwise: --name.")


async def _versions(connection: Connection) -> list[str]:
    rows = await connection.fetch("SELECT version FROM person_weights ORDER BY trained")
    return [shipped().version, *(row["version"] for row in rows)]


async def keep(connection: Connection, weights: Weights) -> None:
    """Store a new set; it judges nothing before it is adopted."""
    await must_be_new(connection, weights.version)
    await connection.execute(
        "INSERT INTO person_weights (version, weights, trained) VALUES ($1, $2, $3)",
        weights.version,
        orjson.dumps(weights.to_json()).decode(),
        clock.now(),
    )


async def adopt(connection: Connection, version: str) -> None:
    """Judge by these from now on, those shipped among them. What is linked stays; `linking.propose` tells where they
    would say otherwise."""
    known = await _versions(connection)
    if version not in known:
        raise NotFound(f"There are no weights {version!r}.", remedy=f"There are {', '.join(known)}.")
    if version == shipped().version:
        await connection.execute("UPDATE person_weights SET adopted = NULL")
        return
    await connection.execute("UPDATE person_weights SET adopted = $2 WHERE version = $1", version, clock.now())
