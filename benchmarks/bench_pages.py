"""Server time of the pages, each role's own, as one reader after another asks for them.

    make bench, or: python benchmarks/bench_pages.py [--people N] [--rounds R]

The limit is a p95 of 150 ms at 10,000 people. Times are from the request's first byte to the answer's last on the
loopback, one request at a time; pages of a person are asked for many people, so that nothing is warm by repetition.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import time
from dataclasses import dataclass

import asyncpg
import httpx

import serving
from xinglin.cli.demo import PASSWORD
from xinglin.core.store.keys import TYPE_NUMBERS

LIMIT = 150.0  # ms, p95
HOLDER = "hx-"  # the institution of the demo's `clinician`, `pharmacist`, `clerk` and `manager`
FIND = ("李", "wang", "zhangwei", "lsl", "1956-03", "liushilang", "HX0000", "154", "陈 1970")
PERSON = "/desk/people/{patient}"
PAGES = {
    "clinician": (
        "/desk", "/desk?q={find}", PERSON, f"{PERSON}/timeline", f"{PERSON}/trends", f"{PERSON}/trends/85354-9",
        f"{PERSON}/medicines", f"{PERSON}/immunizations", f"{PERSON}/documents", f"{PERSON}/print",
        f"{PERSON}/consent", f"{PERSON}/emergency",
    ),
    "pharmacist": ("/desk", PERSON, f"{PERSON}/medicines"),
    "clerk": ("/desk?q={find}", PERSON, "/desk/duplicates"),
    "manager": (
        "/desk/institution", "/desk/institution/users", "/desk/institution/access",
        "/desk/institution/access?outcome=emergency",
    ),
    "patient": (
        "/me", "/me/record", "/me/trends", "/me/trends/85354-9", "/me/medicines", "/me/sharing", "/me/access",
        "/me/print",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Milliseconds of one page, sorted."""

    times: list[float]

    def at(self, share: float) -> float:
        return self.times[min(len(self.times) - 1, int(share * len(self.times)))]


async def patients(url: str, count: int) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT id FROM resource WHERE type = $1 AND NOT deleted AND id LIKE $2", TYPE_NUMBERS["Patient"], f"{HOLDER}%"
    )
    await connection.close()
    ids = sorted(row["id"] for row in rows)
    return random.Random(7).sample(ids, min(count, len(ids)))


def sign_in(base: str, login: str) -> httpx.Client:
    visitor = httpx.Client(base_url=base, timeout=60)
    token = re.search(r'name="_csrf" value="([^"]+)"', visitor.get("/sign-in").text)
    answer = visitor.post("/sign-in", data={"_csrf": token[1], "login": login, "password": PASSWORD})
    if answer.status_code != 303:
        raise SystemExit(f"{login} cannot sign in: {answer.status_code}")
    return visitor


def measure(visitor: httpx.Client, page: str, people: list[str], rounds: int) -> Measured:
    times = []
    for number in range(rounds):
        path = page.format(patient=people[number % len(people)], find=FIND[number % len(FIND)])
        begun = time.perf_counter()
        answer = visitor.get(path)
        times.append((time.perf_counter() - begun) * 1000)
        if answer.status_code not in (200, 404):  # 404: nobody measured that of this person
            raise SystemExit(f"{path}: {answer.status_code}")
    return Measured(sorted(times))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--people", type=int, default=1000)
    words.add_argument("--rounds", type=int, default=60)
    asked = words.parse_args()
    with serving.county(asked.people) as settings:
        people = asyncio.run(patients(settings.database_url, asked.rounds))
        port = serving.free_port()
        with serving.server(serving.ours(port, 1), settings, port):
            print(f"demo county of {asked.people:,} people; ms, one reader at a time; limit: p95 {LIMIT:.0f} ms")
            for login, pages in PAGES.items():
                visitor = sign_in(f"http://127.0.0.1:{port}", login)
                for page in pages:
                    measure(visitor, page, people[-3:], 3)  # templates compiled, connections open
                    found = measure(visitor, page, people, asked.rounds)
                    ratio = found.at(0.95) / LIMIT
                    print(f"{login:11} {page:45} p50 {found.at(0.5):6.1f}  p95 {found.at(0.95):6.1f}  {ratio:5.0%}")
                visitor.close()


if __name__ == "__main__":
    main()
