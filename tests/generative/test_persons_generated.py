"""Persons under generated data: joining and parting restore exactly; an identifier alone never links."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xinglin.access.persons import batch, columns
from xinglin.access.persons.blocking import blocks_of
from xinglin.access.persons.comparisons import Verdict
from xinglin.access.persons.distance import damerau_levenshtein, jaro_winkler, within
from xinglin.access.persons.find import one_typo, read
from xinglin.access.persons.graph import Graph, Step, pair
from xinglin.access.persons.index import variants
from xinglin.access.persons.matching import Band, decide
from xinglin.access.persons.terms import terms_of
from xinglin.access.persons.traits import Traits
from xinglin.access.persons.weights import shipped

RECORDS = range(8)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from(RECORDS), st.sampled_from(RECORDS)),
        st.tuples(st.just("part"), st.sampled_from(RECORDS), st.sampled_from(RECORDS)),
        st.tuples(st.just("leave"), st.frozensets(st.sampled_from(RECORDS), min_size=1, max_size=3)),
    ),
    max_size=25,
)


def step_for(graph: Graph, act: tuple[Any, ...]) -> Step:
    if act[0] == "leave":
        return graph.parted(act[1])
    if act[1] == act[2]:
        return Step()
    return graph.joined(act[1], act[2]) if act[0] == "join" else graph.parted([act[2]], others=[act[1]])


def partition(graph: Graph) -> set[frozenset[int]]:
    return {graph.component(record) for record in RECORDS}


@settings(max_examples=1000, deadline=None)
@given(ACTS)
def test_92_taking_back_restores_exactly(acts: list[tuple[Any, ...]]) -> None:
    graph, before, steps = Graph(), [], []
    for act in acts:
        before.append((set(graph.edges), set(graph.bars), partition(graph)))
        steps.append(step_for(graph, act))
        graph.apply(steps[-1])
        if act[0] == "join" and act[1] != act[2]:
            assert act[2] in graph.component(act[1]) and not graph.bars_between(act[1], act[2])
        elif act[0] == "part" and act[1] != act[2]:
            assert act[2] not in graph.component(act[1]) and pair(act[1], act[2]) in graph.bars
    for step, was in zip(reversed(steps), reversed(before), strict=True):
        graph.apply(graph.in_effect(step.inverse()))
        assert (graph.edges, graph.bars, partition(graph)) == was


@settings(max_examples=300, deadline=None)
@given(ACTS)
def test_components_are_those_of_the_edges(acts: list[tuple[Any, ...]]) -> None:
    """Against the slow and obvious way: merge sets until nothing changes."""
    graph = Graph()
    for act in acts:
        graph.apply(step_for(graph, act))
    sets = [{record} for record in RECORDS]
    for a, b in graph.edges:
        left, right = (next(s for s in sets if x in s) for x in (a, b))
        if left is not right:
            left |= right
            sets.remove(right)
    assert partition(graph) == {frozenset(s) for s in sets}


IDS = ["11010519491231002X", "290121198005030012", "290121198005030039", "290121198005030030"]
NAMES = [
    "Smith Jon Ann",
    "John A Smith",
    "Johnny Smith",
    "Jhon Smyth",
    "王芳之子",
    "欧阳小明",
    "欧小明",
    "王小明",
    "王晓明",
    "王明",
    "張偉",
    "张伟",
    "Wang Xiaoming",
    "Xiaoming Wang",
    "John Smith",
    "单田芳",
    "王佳怡",
    "王佳琪",
    "王佳淇",
    "张妍",
    "张涵",
    "王志文",
    "王子文",
    "Jon Sm\u0456th",
    "Ann Smith",
    "John Smith Jr",
    "Wang Jiayi",
    "Wang Jiaqi",
    "Jayden Smith",
    "Hayden Smith",
    "Twin A Smith",
    "李亮",
    "李良",
    "无名氏",
    "محمد علي",
    "أحمد علي",
    "",
]
PATIENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.lists(st.sampled_from(NAMES).map(lambda text: {"text": text}), max_size=2),
        "birthDate": st.sampled_from(["1980-05-03", "1980-03-05", "1980", "1949-12-31", "1960-05-03", "1900-01-01"]),
        "gender": st.sampled_from(["male", "female", "unknown"]),
        "identifier": st.lists(
            st.one_of(
                st.sampled_from(IDS).map(lambda v: {"system": "urn:oid:2.16.156.10011.1.3", "value": v}),
                st.just({"type": {"coding": [{"code": "PPN"}]}, "value": "E12345678"}),
                st.just({"system": "urn:mrn", "value": "1", "type": {"coding": [{"code": "MR"}]}}),
            ),
            max_size=3,
        ),
        "telecom": st.just([{"system": "phone", "value": "13800138000"}]),
        "multipleBirthInteger": st.sampled_from([1, 2]),
        "address": st.fixed_dictionaries(
            {},
            optional={
                "line": st.sampled_from(
                    [["12 main street"], ["12 mian street", "upper flat"], ["upper flat"], ["青囊镇3村5号"]]
                ),
                "city": st.sampled_from(["perth", "杏林县"]),
                "postalCode": st.sampled_from(["4223", "4224"]),
            },
        ).map(lambda address: [address]),
    },
)


@settings(max_examples=400, deadline=None)
@given(PATIENTS, PATIENTS)
def test_a_link_needs_more_than_one_thing(a: dict[str, Any], b: dict[str, Any]) -> None:
    one, other = Traits.of(a), Traits.of(b)
    decision = decide(one, other)
    back = decide(other, one)
    assert (decision.band, decision.rule, decision.fields) == (back.band, back.rule, back.fields)
    assert decision.weight == pytest.approx(back.weight)
    if decision.band is Band.LINKED:
        agreeing = {part.field for part in decision.parts if part.weight > 0} - {"birth-date", "sex"}
        assert len(agreeing) > 1, "an identifier with what follows from it, or a phone, links nobody"
        assert (
            decision.fields["multiple-birth"] is not Verdict.DIFFER and decision.fields["given"] is not Verdict.DIFFER
        )
        assert set(blocks_of(one)) & set(blocks_of(other)), "who is linked is found by a key they share"


PEOPLE = st.lists(PATIENTS, min_size=15, max_size=25)


@settings(max_examples=4, deadline=None)
@given(PEOPLE)
def test_one_pair_in_python_is_one_pair_in_duckdb(people: list[dict[str, Any]]) -> None:
    """The explanation's arithmetic against the batch's: levels, weights and bands of every pair."""
    records = {str(number): Traits.of(patient) for number, patient in enumerate(people)}
    connection = columns.connect(threads=1)
    columns.load(connection, records.items())
    columns.run(connection, "CREATE TABLE pair AS SELECT l.unique_id a, r.unique_id b FROM record l, record r"
                            " WHERE l.unique_id < r.unique_id")  # fmt: skip
    batch.weigh(connection, shipped(), least=-1000)
    found = {(one.a, one.b): one for one in batch.decided(connection)}
    assert len(found) == len(people) * (len(people) - 1) // 2
    for (a, b), one in found.items():
        slow = decide(records[a], records[b])
        assert (one.band, one.rule) == (slow.band, slow.rule), (records[a], records[b], slow)
        assert one.weight == pytest.approx(slow.weight)


WORDS = st.text(alphabet="abx王小", max_size=7)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=20))
def test_distances_are_those_of_duckdb(pairs: list[tuple[str, str]]) -> None:
    connection = columns.connect(threads=1)
    for a, b in pairs:
        [(distance, similarity)] = connection.execute(
            "SELECT damerau_levenshtein(?, ?), jaro_winkler_similarity(?, ?)", [a, b, a, b]
        ).fetchall()
        assert damerau_levenshtein(a, b) == distance
        for most in (1, 2):
            assert within(a, b, most) is (abs(len(a) - len(b)) <= most and distance <= most)
        if a and b:
            assert jaro_winkler(a, b) == pytest.approx(similarity)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abxy", min_size=1, max_size=6), st.text(alphabet="abxy", min_size=1, max_size=6))
def test_one_typo_is_an_edit_distance_of_one(a: str, b: str) -> None:
    letters = "abxy"
    edits = {a[:i] + a[i + 1 :] for i in range(len(a))}
    edits |= {a[:i] + c + a[i:] for i in range(len(a) + 1) for c in letters}
    edits |= {a[:i] + c + a[i + 1 :] for i in range(len(a)) for c in letters}
    edits |= {a[:i] + a[i + 1] + a[i] + a[i + 2 :] for i in range(len(a) - 1)}
    assert one_typo(a, b) is (b in edits - {a})
    if one_typo(a, b):
        assert variants(a) & variants(b), "the index finds it"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_anything_can_be_typed_and_named(text: str) -> None:
    read(text)
    terms_of(
        {
            "name": [{"text": text}, {"family": text, "given": [text]}],
            "identifier": [{"value": text}],
            "birthDate": text,
        }
    )
