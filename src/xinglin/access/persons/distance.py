"""How far apart two words are, as DuckDB's functions of the same names count it: by bytes of UTF-8. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

BOOST_FROM: Final = 0.7  # Jaro below which the common beginning adds nothing


@lru_cache(maxsize=65536)
def within(a: str, b: str, most: int) -> bool:
    """Whether at most so many letters added, left out, changed, or neighbours swapped make one word of the other."""
    if a == b:
        return True
    return abs(len(a) - len(b)) <= most and _of_bytes(a.encode(), b.encode(), most) <= most


def damerau_levenshtein(a: str, b: str) -> int:
    """Damerau-Levenshtein distance without the restriction that no letter is touched twice."""
    x, y = a.encode(), b.encode()
    return _of_bytes(x, y, len(x) + len(y))


def _of_bytes(a: bytes, b: bytes, most: int) -> int:
    """The distance where it is at most so much, otherwise something more. What is common before and behind costs
    nothing."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[len(a) - 1 - end] == b[len(b) - 1 - end]:
        end += 1
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    if most == 1 and len(a) == len(b) > 1:  # one slip is what is left of both: a letter, or two that changed places
        return 1 if len(a) == 2 and a == b[::-1] else 2
    return _distance(a, b, most)


def _distance(a: bytes, b: bytes, most: int) -> int:
    """Only the places are looked at whose two beginnings differ in length by no more than `most`: from elsewhere no
    way leads to so small a distance, and long texts would take a second each."""
    if not a or not b or abs(len(a) - len(b)) > most:
        return max(len(a), len(b))
    far = len(a) + len(b)
    rows: list[list[int]] = [[far] * (len(b) + 2), [far, *range(len(b) + 1)]]
    last_row: dict[int, int] = {}
    for i, x in enumerate(a, 1):
        low, high = max(1, i - most), min(len(b), i + most)
        row, last_column = [far, i, *[far] * (low - 1)], 0
        for j in range(low, high + 1):
            y = b[j - 1]
            k = last_row.get(y, 0)
            swap = rows[k][last_column] + (i - k - 1) + 1 + (j - last_column - 1)
            row.append(min(rows[i][j] + (x != y), row[j] + 1, rows[i][j + 1] + 1, swap))
            last_column = j if x == y else last_column
        rows.append(row + [far] * (len(b) - high))
        last_row[x] = i
    return rows[-1][-1]


@lru_cache(maxsize=65536)
def jaro_winkler(a: str, b: str) -> float:
    """Jaro-Winkler similarity, 0 to 1: a tenth of what is missing for each of up to four letters in common at first."""
    x, y = a.encode(), b.encode()
    similarity = _jaro(x, y)
    if similarity <= BOOST_FROM:
        return similarity
    common = next((n for n, (p, q) in enumerate(zip(x[:4], y[:4], strict=False)) if p != q), min(4, len(x), len(y)))
    return similarity + common * 0.1 * (1 - similarity)


def _jaro(a: bytes, b: bytes) -> float:
    if not a or not b:
        return float(a == b)
    reach = max(max(len(a), len(b)) // 2 - 1, 0)
    taken = [False] * len(b)
    left: list[int] = []
    for i, x in enumerate(a):
        for j in range(max(0, i - reach), min(len(b), i + reach + 1)):
            if not taken[j] and b[j] == x:
                taken[j] = True
                left.append(x)
                break
    if not left:
        return 0.0
    right = [y for y, was in zip(b, taken, strict=True) if was]
    turned = sum(x != y for x, y in zip(left, right, strict=True)) // 2
    same = len(left)
    return (same / len(a) + same / len(b) + (same - turned) / same) / 3
