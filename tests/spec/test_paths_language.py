"""FHIRPath as this engine promises it beyond the official suite: types, bounds, messages, the environment, units."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from xinglin.core import paths, ucum
from xinglin.core.paths.parser import parse
from xinglin.core.schema.definitions import resource_types, search_parameters, type_def, type_names

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "name": [{"use": "official", "family": "Li", "given": ["Lei", "Wei"]}, {"family": "Zhang"}],
    "_birthDate": {"extension": [{"url": "http://x/reason", "valueCode": "unknown"}]},
    "deceasedDateTime": "2024-05-01",
    "managingOrganization": {"reference": "#o"},
    "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "urn:uuid:2", "type": "Organization"}],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Village clinic"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "BP"},
    "valueQuantity": {"value": 5.4, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    "effectiveDateTime": "2024-05",
    "component": [{"code": {"text": t}, "valueQuantity": {"value": v}} for t, v in (("s", 120), ("d", 80), ("d", 80))],
}


def test_results_are_plain_json_and_typed_on_request() -> None:
    assert paths.compile("name.given")(PATIENT) == ["Lei", "Wei"]
    assert paths.compile("Patient.deceased").evaluate_typed(PATIENT) == [("2024-05-01", "dateTime")]
    value = OBSERVATION["valueQuantity"]
    assert paths.compile("Observation.value").evaluate_typed(OBSERVATION) == [(value, "Quantity")]
    assert paths.compile("contained").evaluate_typed(PATIENT) == [(PATIENT["contained"][0], "Organization")]
    assert paths.compile("@2024-05 + 1 month").evaluate_typed(PATIENT) == [("2024-06", "date")]
    assert paths.compile("1 | 1.0 | true").evaluate_typed(PATIENT) == [(1, "integer"), (True, "boolean")]


def test_a_floating_point_number_counts_by_its_digits() -> None:
    assert paths.compile("value.value + 0.1 = 5.5")(OBSERVATION) == [True]
    assert paths.compile("0.1 + 0.2")(OBSERVATION) == [Decimal("0.3")]


def test_search_binds_to_a_type_and_lets_as_pick_from_many() -> None:
    path = paths.search("(Observation.component.value as Quantity) | Patient.name")
    assert len(path.for_type("Observation").values(OBSERVATION)) == 2  # 80 twice is one value
    with pytest.raises(paths.PathError, match="one item, found 3"):
        paths.compile("(Observation.component.value as Quantity)")(OBSERVATION)
    component = paths.search("value as Quantity").for_type("Observation.component")
    assert component.typed(OBSERVATION["component"][0]) == [({"value": 120}, "Quantity")]


def test_references_are_told_by_what_they_say() -> None:
    practitioners = paths.search("Patient.generalPractitioner.where(resolve() is Practitioner)")
    assert practitioners(PATIENT) == [{"reference": "Practitioner/1"}]
    organizations = paths.compile("generalPractitioner.where(resolve() is Organization)")
    assert organizations(PATIENT) == [{"reference": "urn:uuid:2", "type": "Organization"}]
    assert paths.compile("managingOrganization.resolve().name")(PATIENT) == ["Village clinic"]
    found = paths.Environment(resolver=lambda reference: {"resourceType": "Practitioner", "id": reference[-1:]})
    assert paths.compile("generalPractitioner.resolve().id")(PATIENT, found) == ["1", "2"]


def test_a_primitive_without_value_exists_but_gives_none() -> None:
    assert paths.compile("birthDate.exists() and birthDate.hasValue().not()")(PATIENT) == [True]
    assert paths.compile("birthDate")(PATIENT) == []
    assert paths.compile("birthDate.extension('http://x/reason').value")(PATIENT) == ["unknown"]


def test_environment_gives_variables_trace_and_hooks() -> None:
    shown: list[Any] = []
    world = paths.Environment(
        variables={"limit": 2, "names": ["a", "b"]},
        trace=lambda name, values: shown.append((name, values)),
        member_of=lambda value, type_name, url: (value, type_name) == ("final", "code"),
        conforms_to=lambda resource, url: url == "http://x/p",
        root={"resourceType": "Bundle", "id": "b"},
    )
    assert paths.compile("name.trace('n', family).count() = %limit")(PATIENT, world) == [True]
    assert shown == [("n", ["Li", "Zhang"])]
    assert paths.compile("%names | %resource.id")(PATIENT, world) == ["a", "b"]
    assert paths.compile("status.memberOf('http://x/vs')")(OBSERVATION, world) == [True]
    assert paths.compile("conformsTo('http://x/p')")(OBSERVATION, world) == [True]
    assert paths.compile("gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')")(
        {"resourceType": "Patient", "gender": "female"}
    ) == [True]


@pytest.mark.parametrize(
    ("expression", "phase", "position", "words"),
    [
        ("name.", "syntax", 5, "expected the name of an element"),
        ("name.where(use = 'a'", "syntax", 20, "expected ')'"),
        ("'abc", "syntax", 0, "never closed"),
        ("@2024-13-01", "syntax", 0, "a date or time that exists"),
        ("name.wher(use)", "semantic", 5, "no function 'wher'"),
        ("name.first(1)", "semantic", 5, "takes 0 arguments, found 1"),
        ("name is Nme", "semantic", 8, "no type 'Nme'"),
        ("name.given + 1", "execution", 11, "takes one item, found 2"),
        ("active + %nothing", "execution", 9, "no variable %nothing"),
    ],
)
def test_errors_name_phase_place_and_expectation(expression: str, phase: str, position: int, words: str) -> None:
    with pytest.raises(paths.PathError) as caught:
        paths.compile(expression)(PATIENT)
    error = caught.value
    assert (error.phase, error.position) == (phase, position) and words in str(error)
    assert error.caret().splitlines()[-1] == " " * position + "^"


def test_strict_refuses_what_the_model_has_not() -> None:
    for expression in (
        "Patient.nme",
        "name.given1",
        "Patient.children().first()",
        "iif('x', 1, 2)",
        "Observation.code",
    ):
        with pytest.raises(paths.PathError) as caught:
            paths.compile(expression, type="Patient", strict=True)
        assert caught.value.phase == "semantic"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("name.first().defineVariable('n').given.select(%n.family & ' ' & $this)", ["Li Lei", "Li Wei"]),
        ("name.select(defineVariable('n').family.select(%n.given.count()))", [2, 0]),
        ("defineVariable('a', 1).select(%a) | defineVariable('a', 2).select(%a)", [1, 2]),
        ("'x'.replace(defineVariable('p', 'x').select(%p), defineVariable('p', 'y').select(%p))", ["y"]),
        ("defineVariable(defineVariable('p', 'q').select(%p), 3).select(%q)", [3]),
        ("defineVariable('a', 1).active and %a = 1", "no variable %a"),
        ("defineVariable('a').defineVariable('a')", "already a variable"),
        ("defineVariable('resource')", "already a variable"),
        ("defineVariable('sct')", "already a variable"),
        ("coalesce({}, name.family.first(), 1 / 'x')", ["Li"]),
        ("(1 | 2 | 3).repeatAll(iif($this < 2, $this + 1, {}))", [2]),
        ("(1 | 2 | 4).sum() | (1 | 2 | 4).min() | (1 | 2 | 6).max()", [7, 1, 6]),
        ("(1 'g' | 1 'kg').sum() = 1001 'g' and (1 | 2).avg() = 1.5 and {}.avg().empty()", [True]),
        ("(1 'g' | 1 'm').max()", []),
        ("name.family.sort($this desc)", ["Zhang", "Li"]),
        ("name.family.sort($this asc)", ["Li", "Zhang"]),
        (
            "@2012-05-06T10:11:12.345+08:00.select(yearOf() | monthOf() | hourOf() | millisecondOf())",
            [2012, 5, 10, 345],
        ),
        ("@2012-05-06T10:11+05:30.timezoneOffsetOf() = 5.5 and @2012.monthOf().empty()", [True]),
        ("@2012-01-31.duration(@2012-03-01, 'month') | @2012-01-31.difference(@2012-03-01, 'months')", [1, 2]),
        ("@2012-03-10T10:20:00.duration(@2013-03-10T09:20:00, 'years')", [0]),
        ("@2012-02-01T00:00:00Z.difference(@2012-02-01T00:00:00+02:00, 'hour')", [-2]),
        ("@2012.difference(@2013-05, 'month')", []),
        ("5L.type().name | (1 + 5L).type().name | '7'.toLong().type().name", ["Long"]),
        ("5L = 5 and 5L in (4 | 5) and 5L is Integer = false", [True]),
        ("'ABC'.matches('^b', 'i') | 'a\nB'.matches('^b', 'im')", [False, True]),
        ("(3 'm' - 3 'cm').toString()", ["297 'cm'"]),
        ("getResourceKey() | generalPractitioner.getReferenceKey() ", ["Patient/p", "Practitioner/1"]),
        ("generalPractitioner.getReferenceKey(Practitioner)", ["Practitioner/1"]),
        ("generalPractitioner.getReferenceKey(Patient)", []),
        ("name.checkModifiers('http://x').family", ["Li", "Zhang"]),
    ],
)
def test_trial_use_beyond_the_normative_language(expression: str, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(paths.PathError, match=expected):
            paths.compile(expression)(PATIENT)
    else:
        assert paths.compile(expression)(PATIENT) == expected


def test_codes_subsume_as_the_environment_says() -> None:
    system = "http://x/cs"
    narrow = {"resourceType": "Observation", "code": {"coding": [{"system": system, "code": "narrow"}]}}
    told = {("wide", "narrow"): True, ("narrow", "wide"): False}
    world = paths.Environment(
        variables={"wide": {"system": system, "code": "wide"}},
        subsumes=lambda wider, narrower: told.get((wider["code"], narrower["code"])),
    )
    assert paths.compile("%wide.subsumes(code)")(narrow, world) == [True]
    assert paths.compile("code.subsumedBy(%wide)")(narrow, world) == [True]
    assert paths.compile("code.subsumes(%wide)")(narrow, world) == [False]
    assert paths.compile("code.subsumes(%wide)")(narrow, paths.Environment(variables=world.variables)) == []
    assert paths.compile("code.coding.subsumedBy(code)")(narrow) == [True]
    with pytest.raises(paths.PathError, match="Coding"):
        paths.compile("status.subsumes(code)")({"status": "final", **narrow})


MANY = {"resourceType": "Patient", "name": [{"given": ["a", "b"]} for _ in range(3_000)]}


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "1" + "+1" * 10_000,
        "-" * 10_000 + "1",
        "a" + ".a" * 10_000,
        "not(" * 10_000,
        "name.select(%resource.name.select(%resource.name)).count()",
        "name.aggregate($total.combine($total).combine('a'), 'a').count()",
        "name.aggregate($total & $total & 'aaaaaaaa', '')",
        "name.select(%resource = %resource).count()",
        "name.where(" + "|".join(["nme"] * 20_000) + ").count()",
        "1.repeat(iif($this < 100000000, $this + 1, {}))",
        "name.given.join('').replace('', 'yyyyyyyyyyyyyyyyyyyyyy').replace('', 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz')",
    ],
    ids=lambda expression: expression[:30],
)
def test_the_boundless_is_refused_within_bounds(expression: str) -> None:
    start = time.process_time()
    with pytest.raises(paths.PathTooCostly):
        paths.compile(expression)(MANY)
    assert time.process_time() - start < 5  # about one second; slow machines included


def test_deep_data_never_exhausts_the_stack() -> None:
    deep: dict[str, Any] = {"resourceType": "Questionnaire"}
    for _ in range(5_000):
        deep = {"resourceType": "Questionnaire", "item": [deep]}
    assert paths.compile("descendants().count()")(deep) == [5_000]
    with pytest.raises(paths.PathTooCostly, match="nested too deeply"):
        paths.compile("descendants().distinct()")(deep)


def test_regular_expressions_take_linear_time_and_say_what_they_cannot() -> None:
    slow = "'" + "a" * 5_000 + "!'"
    assert paths.compile(f"{slow}.matches('(a+)+$')")(None) == [False]
    with pytest.raises(paths.PathError, match="look-around"):
        paths.compile("'a'.matches('(?=a)')")(None)


def test_every_expression_of_the_definitions_is_read() -> None:
    """Search parameters and invariants of R4: those that need lookaround in a regex are still read."""
    for one in search_parameters():
        if one.expression:
            parse(one.expression)
    for name in type_names():
        for _, _, expression in getattr(type_def(name), "constraints", ()):
            parse(expression)


@pytest.mark.shared
def test_every_search_expression_runs_over_real_resources(shared: Any) -> None:
    import gzip

    import orjson

    file = sorted((shared / "data" / "synthea").glob("*.json.gz"))[0]
    bundle = orjson.loads(gzip.decompress(file.read_bytes()))
    found = 0
    for entry in bundle["entry"][:200]:
        name = entry["resource"]["resourceType"]
        assert name in resource_types()
        for one in search_parameters():
            if one.expression and name in one.bases:
                path = paths.search(one.expression)
                short = path.for_type(name).typed(entry["resource"])
                assert [value for value, _ in short] == path.for_type(name).values(entry["resource"])
                found += len(short)
    assert found > 1_000


@pytest.mark.parametrize(
    ("value", "unit", "base_value", "base"),
    [
        ("97", "mg/dL", "970", "g.m-3"),
        ("5.4", "mmol/L", "5.4", "m-3.mol"),
        ("1", "wk", "604800", "s"),
        ("98.6", "[degF]", "310.15", "K"),
        ("36", "km/h", "10", "m.s-1"),
        ("120", "mm[Hg]", "15998640", "g.m-1.s-2"),
        ("4.5", "10*3/uL", "4500000000000", "m-3"),
        ("1", "{score}", "1", "1"),
        ("6", "%{HbA1c}", "0.06", "1"),
        ("1", "mL/min/{1.73_m2}", "1.666666666666666666666666667E-8", "m3.s-1"),
        ("2", "[in_i]", "0.0508", "m"),
    ],
)
def test_units_come_to_their_base(value: str, unit: str, base_value: str, base: str) -> None:
    assert ucum.canonical(Decimal(value), unit) == (Decimal(base_value), base)


def test_units_that_do_not_exist_or_do_not_meet() -> None:
    for unit in ("", "mmhg", "m//", "(m", "kCel.m", "mg/dL x", "m" * 300, "((((((((((((((((((((((m"):
        assert ucum.canonical(Decimal(1), unit) is None
    assert not ucum.comparable("mmol/L", "mg/dL")  # needs a substance
    assert not ucum.comparable("[iU]/mL", "mg/mL")


def test_docs_list_every_function() -> None:
    from pathlib import Path

    from xinglin.core.paths.functions import FUNCTIONS

    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "fhirpath.md").read_text(encoding="utf-8")
    missing = [name for name in FUNCTIONS if f"`{name}(" not in page]
    assert not missing


def test_command_prints_json_and_marks_the_place_of_an_error(tmp_path: Any) -> None:
    import orjson
    import typer
    from typer.testing import CliRunner

    from xinglin.cli.fhirpath import fhirpath

    app = typer.Typer()
    app.command()(fhirpath)
    file = tmp_path / "o.json"
    file.write_bytes(orjson.dumps(OBSERVATION))
    run = CliRunner().invoke(app, ["value.value | status", str(file)])
    assert (run.exit_code, orjson.loads(run.stdout)) == (0, [5.4, "final"])
    run = CliRunner().invoke(app, ["code.tex(", "-"], input='{"resourceType": "Observation"}')
    assert run.exit_code == 2 and run.stdout == ""
    assert run.stderr.endswith("code.tex(\n         ^\n")
    run = CliRunner().invoke(app, ["status", str(tmp_path / "absent.json")])
    assert run.exit_code == 2 and "cannot be read" in run.stderr


@pytest.mark.shared
def test_r4_invariants_hold_on_the_official_examples(shared: Any) -> None:
    """The rules of each resource's root, over the first 200 examples of the specification."""
    import tarfile

    import orjson

    asked = 0
    with tarfile.open(shared / "fhir" / "hl7.fhir.r4.examples.tgz") as package:
        members = (member for member in package if member.name.endswith(".json") and ".index" not in member.name)
        for _, member in zip(range(200), members, strict=False):
            resource = orjson.loads(package.extractfile(member).read())  # type: ignore[union-attr]
            definition = type_def(resource.get("resourceType", ""))
            for key, severity, expression in definition.constraints if definition else ():
                answer = paths.compile(expression, as_filters=True).is_true(resource)
                assert answer is not False or severity != "error", f"{member.name}: {key}"
                asked += 1
    assert asked > 500
