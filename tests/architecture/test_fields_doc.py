"""The tables of fields (rules, config, request) and of columns of a load name each, with its bounds and its default."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from msgspec import inspect

from recsys.control.row_file import read_rows
from recsys.domain.catalogue import ROW_KEYS, ROW_TYPES, Dataset
from recsys.domain.config import DEFAULT_WEIGHTS, KNOWN_FLAGS, Config, config_mistakes
from recsys.domain.recommend import Notice, RecommendRequest, check_request
from recsys.domain.rules import KEY_ALIASES, VALUE_ALIASES, Rule, read_rules, rules_mistakes

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEADINGS: dict[Dataset, str] = {"items": "**Items**", "popularity": "**Popularity**", "cooc": "**Co-visitation**"}
SECTIONED = ("surfaces", "experiments[].variants[].config")
"""Their values are made of the sections that have rows already."""


class Row(NamedTuple):
    """A row of a table: what it says of the values, and the rest."""

    values: str
    rest: str


def section(page: str, begins: str, ends: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text.count(begins) == 1, begins
    return text.partition(begins)[2].partition(ends)[0]


def table(text: str) -> dict[str, Row]:
    """By field, the rows of the first table."""
    found: dict[str, Row] = {}
    for line in re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]:  # type: ignore[index]
        names, values, *rest = re.split(r"(?<!\\)\|", line)[1:-1]
        found |= {name: Row(values, " | ".join(rest)) for name in re.findall(r"`([^`]+)`", names)}
    return found


def leaves(type_: inspect.StructType, prefix: str = "") -> Iterator[tuple[str, inspect.Field, list[inspect.Type]]]:
    """Every field that is no section, with the types that it may have."""
    for field in type_.fields:
        name, types = prefix + field.encode_name, list(_types(field.type))
        structs = [each for each in types if isinstance(each, inspect.StructType)]
        if structs and name not in SECTIONED:
            many = "[]" if any(isinstance(each, inspect.ListType) for each in types) else ""
            yield from leaves(structs[0], f"{name}{many}.")
        elif name == "flags":
            yield from ((f"flags.{flag}", field, []) for flag in KNOWN_FLAGS)
        else:
            yield name, field, [] if name in SECTIONED else types


def _types(type_: Any) -> Iterator[Any]:
    if isinstance(type_, inspect.UnionType):
        for each in type_.types:
            yield from _types(each)
    elif isinstance(type_, inspect.Metadata):
        yield from _types(type_.type)
    else:
        yield type_
        if isinstance(type_, inspect.ListType):
            yield from _types(type_.item_type)


def bounds(types: list[inspect.Type]) -> set[float]:
    names = ("ge", "gt", "le", "lt", "min_length", "max_length")
    found = {getattr(each, name, None) for each in types for name in names}
    return {float(each) for each in found if each is not None}


def numbers(text: str) -> set[float]:
    text = text.replace("−", "-").replace("half", "0.5")
    return {float(each.replace(",", "")) for each in re.findall(r"-?\d[\d,]*(?:\.\d+)?(?:e\d+)?", text)}


def fields(struct: type) -> Iterator[tuple[str, inspect.Field, list[inspect.Type]]]:
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return leaves(found)


RULES = section("ranking.md", "\n## Rules\n", "\n## ")
CONFIG = section("ranking.md", "\n## Config\n", "\n## ")
LOADS = {dataset: section("api.md", heading, "\n**") for dataset, heading in HEADINGS.items()}
REQUEST = section("api.md", "\n### Fields of a request\n", "\n## ")
DOCUMENTS = [(RULES, Rule), (CONFIG, Config), (REQUEST, RecommendRequest)]
TABLES = [*DOCUMENTS, *((LOADS[dataset], ROW_TYPES[dataset]) for dataset in get_args(Dataset))]


@pytest.mark.parametrize(("text", "struct"), TABLES)
def test_the_table_names_every_field_its_bounds_and_whether_it_is_required(text: str, struct: type) -> None:
    shown, known = table(text), {name: (field, types) for name, field, types in fields(struct)}

    assert set(shown) == set(known)
    for name, (field, types) in known.items():
        row, limits = shown[name], bounds(types)
        if name.startswith("weights."):  # a negative one is refused by what it means
            limits = {abs(limit) for limit in limits} | {0}
        assert limits <= numbers(row.values), name
        choices = [value for each in types if isinstance(each, inspect.LiteralType) for value in each.values]
        assert all(f"`{value}`" in row.values for value in choices), name
        assert field.required == row.rest.strip().startswith("required"), name


@pytest.mark.parametrize(("text", "struct"), DOCUMENTS)
def test_the_table_of_fields_has_the_defaults(text: str, struct: type) -> None:
    shown = table(text)
    for name, field, _ in fields(struct):
        if not field.required and name.partition(".")[0] != "flags":
            said = shown[name].rest.split("|")[0].strip(" `")
            default = field.default if field.default_factory is msgspec.NODEFAULT else []
            if isinstance(default, bool):
                assert said == str(default).lower(), name
            elif isinstance(default, (int, float)):
                assert numbers(said) == {default}, name
            elif isinstance(default, str):
                assert said == default, name
            else:
                assert said in ("–", "none", "blend"), name


def test_the_defaults_without_a_section_are_those_of_the_weights() -> None:
    said = table(CONFIG)["weights.pop"].rest
    assert numbers(said) == {0, DEFAULT_WEIGHTS.pop, DEFAULT_WEIGHTS.cooc, DEFAULT_WEIGHTS.emb}


def test_the_table_of_rules_has_every_alias() -> None:
    shown = table(RULES)
    for alias, name in KEY_ALIASES.items():
        assert f"`{alias}`" in shown[name].rest
    for name, aliases in VALUE_ALIASES.items():
        assert all(f"`{alias}`" in shown[name].rest and f"`{value}`" in shown[name].rest
                   for alias, value in aliases.items())  # fmt: skip


def test_the_examples_of_documents_are_good() -> None:
    rules, config = (json.loads(_fenced(text, "json")) for text in (RULES, CONFIG))
    assert len(read_rules(rules)) == 3
    assert not list(rules_mistakes(rules))
    assert not list(config_mistakes(config))


def test_the_example_of_a_request_is_good() -> None:
    request = msgspec.json.decode(_fenced(REQUEST, "json"), type=RecommendRequest)
    check_request(request)
    assert request.candidates.exclude_ids


def test_the_table_of_warnings_has_every_code() -> None:
    shown = table(REQUEST.partition("`warnings` are")[2])
    (code,) = (field.type for field in inspect.type_info(Notice).fields if field.name == "code")  # type: ignore[attr-defined]
    assert set(shown) == set(code.values)


@pytest.mark.parametrize("dataset", get_args(Dataset))
def test_the_examples_of_a_load_are_the_same_row_with_every_column(dataset: Dataset) -> None:
    text = LOADS[dataset]
    as_json, as_csv = (io.BytesIO(_fenced(text, language).encode()) for language in ("json", "csv"))
    (row,) = read_rows(as_json, dataset, "ndjson")

    assert read_rows(as_csv, dataset, "csv") == [row]
    assert set(json.loads(_fenced(text, "json"))) == set(row.__struct_fields__)
    key = text.partition("key: ")[2].partition(".")[0]
    assert tuple(re.findall(r"`(\w+)`", key)) == ROW_KEYS[dataset]


def _fenced(text: str, language: str) -> str:
    return text.partition(f"```{language}\n")[2].partition("```")[0]
