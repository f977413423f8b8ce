"""Compile the official FHIR R4 package into the compact data that `xinglin.core.schema` ships.

    python scripts/compile_definitions.py PATH_TO_core.tgz PATH_TO_expansions.tgz

Keeps what a machine needs (types, cardinalities, bindings, invariants, search parameters, compartments, codes
of enumerable value sets) and drops all prose. Equal input gives equal bytes: sorted where order is free, gzip
without a time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

DATA = Path(__file__).resolve().parent.parent / "src/xinglin/core/schema/data"
SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
SIMPLE_QUANTITY = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
REGEX = "http://hl7.org/fhir/StructureDefinition/regex"
# Expansions that sample an open set (all of UCUM, any BCP 47 tag, any media type) must not be taken as whole.
OPEN_VALUE_SETS = frozenset(
    f"http://hl7.org/fhir/ValueSet/{name}" for name in ("all-languages", "languages", "mimetypes", "ucum-units")
)
# Published expressions that cannot hold as written: que-7 asks a FHIR boolean to be a System Boolean.
ERRATA = {"operator = 'exists' implies (answer is Boolean)": "operator = 'exists' implies (answer is boolean)"}

# DocumentReference.relationship asks the code for the target and the target for the code.
SWAPPED = frozenset({"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("core", type=Path, help="hl7.fhir.r4.core.tgz")
    parser.add_argument("expansions", type=Path, help="hl7.fhir.r4.expansions.tgz")
    parser.add_argument("--out", type=Path, default=DATA, help="folder for the compiled data")
    arguments = parser.parse_args()
    core = list(resources(arguments.core))
    types = compile_types(core)
    parts = {
        "types": types,
        "search_parameters": compile_search_parameters(core),
        "compartments": compile_compartments(core),
        "value_sets": compile_value_sets(list(resources(arguments.expansions)), bound_value_sets(types)),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in parts.items():
        size = write(arguments.out / f"{name}.json.gz", content)
        print(f"{name}: {len(content)} entries, {size} bytes")
    return 0


def resources(package: Path) -> Iterator[Json]:
    with tarfile.open(package) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            stream = archive.extractfile(member) if member.name.endswith(".json") else None
            if stream is not None:
                resource = json.load(stream)
                if "resourceType" in resource:
                    yield resource


def write(path: Path, content: object) -> int:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return path.stat().st_size


def compile_types(core: list[Json]) -> list[list[Any]]:
    """A row a type: name, kind, base, abstract, regex, constraints, elements; backbones come after."""
    rows: list[list[Any]] = []
    for definition in sorted(core, key=lambda resource: str(resource.get("name"))):
        if definition["resourceType"] == "StructureDefinition" and definition.get("derivation") != "constraint":
            rows.extend(type_rows(definition))
    return rows


def type_rows(definition: Json) -> Iterator[list[Any]]:
    elements: list[Json] = definition["snapshot"]["element"]
    parents = {element["path"].rpartition(".")[0] for element in elements}
    for element in elements:
        path = element["path"]
        if path not in parents:
            continue
        own = path == definition["type"]
        children = [child for child in elements if child["path"].rpartition(".")[0] == path]
        yield [
            path,
            definition["kind"] if own else "backbone",
            base_name(definition.get("baseDefinition")) if own else element["type"][0]["code"],
            bool(definition["abstract"]) if own else False,
            value_regex(children) if definition["kind"] == "primitive-type" else None,
            constraints(element, definition["url"], inherited=own),
            [element_row(child, parents, definition) for child in children if child["max"] != "0"],
        ]


def base_name(url: str | None) -> str | None:
    return url.rpartition("/")[2] if url else None


def value_regex(children: list[Json]) -> str | None:
    for child in children:
        for kind in child.get("type", []):
            for extension in kind.get("extension", []):
                if extension["url"] == REGEX:
                    return str(extension["valueString"])
    return None


def constraints(element: Json, owner: str, *, inherited: bool) -> list[list[str]]:
    """Invariants stated here; those that come with the element's own type are found on that type."""
    return [
        [rule["key"], rule["severity"], ERRATA.get(rule["expression"], rule["expression"])]
        for rule in element.get("constraint", [])
        if "expression" in rule and (inherited or rule.get("source", owner) == owner)
    ]


def element_row(element: Json, parents: set[str], definition: Json) -> list[Any]:
    """name, path, types, min, max, choice, binding, targets, summary, modifier, constraints."""
    path = element["path"]
    backbone = path in parents
    binding = element.get("binding", {})
    rules = [] if backbone else constraints(element, definition["url"], inherited=False)
    if any(SIMPLE_QUANTITY in kind.get("profile", ()) for kind in element.get("type", [])):
        rules.append(["sqty-1", "error", "comparator.empty()"])
    return [
        path.rpartition(".")[2].removesuffix("[x]"),
        path,
        [path] if backbone else element_types(element, definition),
        element["min"],
        None if element["max"] == "*" else int(element["max"]),
        path.endswith("[x]"),
        [binding["strength"], binding["valueSet"].partition("|")[0]] if "valueSet" in binding else None,
        reference_targets(element),
        bool(element.get("isSummary")),
        bool(element.get("isModifier")),
        rules,
    ]


def element_types(element: Json, definition: Json) -> list[str]:
    if "contentReference" in element:
        return [element["contentReference"].rpartition("#")[2]]
    if definition["kind"] == "resource" and element.get("base", {}).get("path") == "Resource.id":
        return ["id"]  # the published definition says string; the specification's text and its rules say id
    return list(dict.fromkeys(fhir_type(kind) for kind in element["type"]))


def fhir_type(kind: Json) -> str:
    code: str = kind["code"]
    if not code.startswith(SYSTEM_TYPE):
        return code
    stated = [extension for extension in kind.get("extension", []) if extension["url"] == FHIR_TYPE]
    return str(stated[0].get("valueUri") or stated[0]["valueUrl"]) if stated else "string"


def reference_targets(element: Json) -> list[str]:
    """Resource types that a Reference may point to; empty where any may."""
    profiles = [
        profile.rpartition("/")[2]
        for kind in element.get("type", [])
        if kind["code"] == "Reference"
        for profile in kind.get("targetProfile", [])
    ]
    return [] if "Resource" in profiles else list(dict.fromkeys(profiles))


def compile_search_parameters(core: list[Json]) -> list[list[Any]]:
    """Rows in the order of the fields of `SearchParameterDef`."""
    rows = [
        [
            parameter["url"],
            parameter["id"],
            parameter["code"],
            parameter.get("base", []),
            parameter["type"],
            parameter.get("expression"),
            parameter.get("target", []),
            components(parameter),
            parameter.get("comparator", []),
            parameter.get("modifier", []),
            parameter.get("multipleOr", True),
            parameter.get("multipleAnd", True),
        ]
        for parameter in core
        if parameter["resourceType"] == "SearchParameter"
    ]
    return sorted(rows, key=lambda row: row[0])


def components(parameter: Json) -> list[list[str]]:
    """(definition, expression) of each part of a composite."""
    parts = parameter.get("component", [])
    expressions = [part["expression"] for part in parts]
    if parameter["url"] in SWAPPED:
        expressions.reverse()
    return [[part["definition"], expression] for part, expression in zip(parts, expressions, strict=True)]


def compile_compartments(core: list[Json]) -> dict[str, dict[str, list[str]]]:
    return {
        definition["code"]: {
            resource["code"]: resource["param"] for resource in definition["resource"] if resource.get("param")
        }
        for definition in sorted(core, key=lambda resource: str(resource.get("code")))
        if definition["resourceType"] == "CompartmentDefinition" and definition["id"] != "example"
    }


def bound_value_sets(types: list[list[Any]]) -> set[str]:
    return {
        element[6][1] for row in types for element in row[-1] if element[6] is not None and element[6][0] == "required"
    } - OPEN_VALUE_SETS


def compile_value_sets(expanded: list[Json], wanted: set[str]) -> dict[str, dict[str, list[str]]]:
    """url -> system -> codes, for each required binding whose codes can all be listed."""
    found: dict[str, dict[str, list[str]]] = {}
    for value_set in sorted(expanded, key=lambda resource: str(resource.get("url"))):
        codes: dict[str, list[str]] = {}
        for concept in concepts(value_set.get("expansion", {}).get("contains", [])):
            codes.setdefault(concept.get("system", ""), []).append(concept["code"])
        if value_set.get("url") in wanted and codes:
            found[value_set["url"]] = codes
    for url in sorted(wanted - set(found)):
        print(f"not enumerable: {url}", file=sys.stderr)
    return found


def concepts(contains: list[Json]) -> Iterator[Json]:
    for concept in contains:
        if "code" in concept and not concept.get("abstract"):
            yield concept
        yield from concepts(concept.get("contains", []))


if __name__ == "__main__":
    raise SystemExit(main())
