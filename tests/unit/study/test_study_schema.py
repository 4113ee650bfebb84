"""The schemas mirror the typed settings: names, types, required keys, choices; and are found where they are shipped."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from jsonschema import Draft202012Validator

from treset.errors import TresetError
from treset.plain import to_plain
from treset.study import load_schema, schema, schema_folder
from treset.study.model import ROLES, Condition, Config, Population, Signature
from treset.study.sheet import COLUMNS

SCHEMAS = ("config", "samples", "panel", "populations", "signatures")


def resolved(part: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    return whole["$defs"][reference.rsplit("/", 1)[1]] if reference else part


def compare(cls: type, part: dict[str, Any], whole: dict[str, Any], where: str) -> None:
    """A dataclass and a schema's object have the same keys, and each key the same type."""
    hints, fields = get_type_hints(cls), {field.name: field for field in dataclasses.fields(cls)}
    assert set(part["properties"]) == set(fields), where
    assert part["additionalProperties"] is False, where
    needed = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    assert needed <= set(part.get("required", [])), where
    for name, hint in hints.items():
        compare_type(hint, resolved(part["properties"][name], whole), whole, f"{where}.{name}")


def compare_type(hint: Any, part: dict[str, Any], whole: dict[str, Any], where: str) -> None:
    kinds = [part["type"]] if isinstance(part["type"], str) else list(part["type"])
    words = [arm for arm in get_args(hint) if get_origin(arm) is Literal]
    if get_origin(hint) in (Union, types.UnionType) and words:
        # a number or a word, such as resolution: auto
        assert "string" in kinds and part["pattern"] == f"^{'|'.join(get_args(words[0]))}$", where
        kinds.remove("string")
        hint = next(arm for arm in get_args(hint) if arm not in words)
    elif get_origin(hint) in (Union, types.UnionType):
        assert "null" in kinds, where
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    else:
        assert "null" not in kinds, where
    kind = next(kind for kind in kinds if kind != "null")
    if dataclasses.is_dataclass(hint):
        assert kind == "object", where
        compare(hint, part, whole, where)
    elif get_origin(hint) is Literal:
        assert sorted(part["enum"]) == sorted(get_args(hint)), where
    elif get_origin(hint) is tuple:
        assert kind == "array", where
        compare_type(get_args(hint)[0], resolved(part["items"], whole), whole, f"{where}[]")
    else:
        expected = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}
        assert kind == expected[get_origin(hint) or hint], where


def test_config_schema_mirrors_the_dataclasses() -> None:
    whole = load_schema("config")
    compare(Config, whole, whole, "config")


def test_the_defaults_are_valid_and_stand_in_the_model_only() -> None:
    settings = to_plain(Config(study="x", modality="rna", samples="samples.tsv"))
    assert list(Draft202012Validator(load_schema("config")).iter_errors(settings)) == []

    def keywords(part: Any) -> set[str]:
        if isinstance(part, dict):
            return set(part) | {word for item in part.values() for word in keywords(item)}
        return {word for item in part for word in keywords(item)} if isinstance(part, list) else set()

    for name in SCHEMAS:
        assert "default" not in keywords(load_schema(name))


def test_the_other_schemas_mirror_the_model() -> None:
    assert tuple(load_schema("panel")["properties"]["role"]["enum"]) == ROLES
    assert tuple(load_schema("samples")["properties"]) == COLUMNS
    population = load_schema("populations")["properties"]["populations"]["items"]["properties"]
    fields = {field.name for field in dataclasses.fields(Population)}
    assert set(population) - {"rule", "where_measured"} == fields - {"conditions"}
    levels = get_args(get_type_hints(Condition)["level"])
    assert tuple(load_schema("populations")["$defs"]["level"]["enum"]) == levels
    signature = load_schema("signatures")["properties"]["signatures"]["items"]["properties"]
    assert set(signature) == {field.name for field in dataclasses.fields(Signature)}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(load_schema(name))


def test_schemas_are_found_in_a_checkout_and_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (schema_folder() / "samples.schema.yaml").is_file()
    package = tmp_path / "site-packages" / "treset"
    monkeypatch.setattr(schema, "__file__", str(package / "study" / "schema.py"))
    with pytest.raises(TresetError, match="install treset again"):
        schema.schema_folder()
    shipped = package / "_workflow" / "workflow" / "schemas"
    shipped.mkdir(parents=True)
    (shipped / "config.schema.yaml").write_text("{}")
    assert schema.schema_folder() == shipped
