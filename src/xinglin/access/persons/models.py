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


async def keep(connection: Connection, weights: Weights) -> None:
    """Store a new set; it judges nothing before it is adopted."""
    done = await connection.execute(
        "INSERT INTO person_weights (version, weights, trained) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        weights.version,
        orjson.dumps(weights.to_json()).decode(),
        clock.now(),
    )
    if done == "INSERT 0 0":
        raise Conflict(f"There are weights {weights.version!r} already.", remedy="Name these otherwise: --name.")


async def adopt(connection: Connection, version: str) -> None:
    """Judge by these from now on. What is linked stays; `linking.propose` tells where they would say otherwise."""
    done = await connection.execute("UPDATE person_weights SET adopted = $2 WHERE version = $1", version, clock.now())
    if done == "UPDATE 0":
        raise NotFound(f"There are no weights {version!r}.", remedy="`xinglin persons train` makes some.")
