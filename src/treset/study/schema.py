"""JSON schemas of the study's files, and their faults in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, TypeChecker, validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from treset.errors import TresetError
from treset.study.document import Document, Route, dotted, plain
from treset.study.faults import Collector, hint, listed

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a block of keys",
    "array": "a list",
    "null": "null",
}


def schema_folder() -> Path:
    """Give the folder of the schemas: in an installed package and in a checkout.

    Raises
    ------
    TresetError
        When neither place has them: the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    places = (package / "_workflow" / "workflow" / "schemas", package.parents[1] / "workflow" / "schemas")
    for folder in places:
        if (folder / "config.schema.yaml").is_file():
            return folder
    raise TresetError(f"the schema config.schema.yaml is in neither {places[0]} nor {places[1]}: install treset again")


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Give the schema ``name`` (config, samples, panel, populations, signatures).

    Raises
    ------
    TresetError
        When the installation lacks it.
    """
    path = schema_folder() / f"{name}.schema.yaml"
    if not path.is_file():
        raise TresetError(f"the schema {path} is missing: install treset again")
    return yaml.safe_load(path.read_text("utf-8"))


def _whole(checker: TypeChecker, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


#: As JSON schema, but 5.0 is no integer: the settings keep the type that was written.
_Validator = validators.extend(
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _whole)
)


@cache
def validator(name: str) -> Validator:
    """Give the validator of the schema ``name``."""
    return _Validator(load_schema(name))


def said(value: Any) -> str:
    """Give a found value as it is shown in a sentence."""
    if value is None:
        return "blank"
    if isinstance(value, bool):
        return f"{str(value).lower()} (a truth value)"
    if isinstance(value, int | float):
        return f"{value} (a number)"
    if isinstance(value, str):
        return f"'{value if len(value) <= 60 else value[:57] + '...'}'"
    return "a list" if isinstance(value, list) else "a block of keys"


def check(document: Document, name: str, faults: Collector) -> None:
    """Check a document against the schema ``name``; report what is wrong and take it out.

    What remains of ``document.data`` is valid but for missing keys at the top level, so that further checks can go on;
    what was taken out is in ``document.broken``. An item of a list of blocks (an endpoint, a population) goes whole.
    """
    reported = True
    while errors := sorted(validator(name).iter_errors(document.data), key=lambda error: _order(document, error)):
        removed = False
        for error in errors:
            if _coerced(document, error):
                removed = True
                break
            if reported:
                _report(document, error, faults)
        else:
            removed = _prune(document, errors)
            reported = False
        if not removed:
            return


def _order(document: Document, error: ValidationError) -> tuple:
    line, column = document.places.get(tuple(error.absolute_path), (0, 0))
    return line, column, [str(step) for step in error.absolute_path]


def _coerced(document: Document, error: ValidationError) -> bool:
    """Read a nested command-line value, which Snakemake hands over as text, as YAML would."""
    route = tuple(error.absolute_path)
    # "pattern": a number or a word is allowed (resolution: auto), and text that is not the word may be a number
    if error.validator not in ("type", "pattern") or not isinstance(error.instance, str) or not route:
        return False
    if not any(route[:length] in document.overridden for length in range(1, len(route) + 1)):
        return False
    value, trouble = plain(error.instance)
    if trouble or isinstance(value, str) or not _Validator({"type": error.schema["type"]}).is_valid(value):
        return False
    document.get(route[:-1])[route[-1]] = value
    return True


def _prune(document: Document, errors: list[ValidationError]) -> bool:
    """Take out what the errors are about, the last list items first."""
    routes = {route for error in errors for route in _culprits(error)}
    routes = {_whole_item(document, route) for route in routes}
    for route in sorted(routes, key=lambda route: [f"{step:09d}" if isinstance(step, int) else step for step in route])[
        ::-1
    ]:
        if route:
            document.remove(route)
    return any(routes)


def _culprits(error: ValidationError) -> Iterator[Route]:
    route = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from ((*route, key) for key in _extra(error))
    elif error.validator == "required" and not route:
        return
    else:
        yield route


def _whole_item(document: Document, route: Route) -> Route:
    for length, step in enumerate(route):
        if isinstance(step, int):
            item = document.get(route[: length + 1])
            return route[: length + 1] if isinstance(item, dict) else route[:length]
    return route


def _extra(error: ValidationError) -> list[str]:
    return [key for key in error.instance if key not in error.schema.get("properties", {})]


def _report(document: Document, error: ValidationError, faults: Collector) -> None:
    route = tuple(error.absolute_path)
    if route in document.broken:
        return
    if error.validator == "additionalProperties":
        allowed = list(error.schema.get("properties", {}))
        for key in _extra(error):
            if (*route, key) not in document.broken:
                section = f" in {dotted(route)}" if route else ""
                sentence = f"unknown key '{key}'{section}{hint(key, allowed)}; allowed: {listed(allowed, 40)}"
                faults.add(document.where((*route, key)), sentence)
        return
    if error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance and (*route, key) not in document.broken:
                meaning = error.schema.get("properties", {}).get(key, {}).get("description", "")
                section = dotted(route) if route else "the file"
                faults.add(
                    document.where(route),
                    f"{section} lacks the key '{key}'{f' ({meaning})' if meaning else ''}: add it",
                )
        return
    faults.add(document.where(route), f"{dotted(route)} is {_expected(document, route, error)}")


def _expected(document: Document, route: Route, error: ValidationError) -> str:
    found, rule, wanted = said(error.instance), error.validator, error.validator_value
    # where a number or a certain word is allowed, the description says which
    if rule == "type" and not ("pattern" in error.schema and {"number", "integer"} & set(wanted)):
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        expected = " or ".join(_TYPES[kind] for kind in kinds)
        if "string" in kinds and isinstance(error.instance, int | float):
            quoted = str(error.instance).lower() if isinstance(error.instance, bool) else error.instance
            return f'{found}, expected {expected}: put it in quotes, "{quoted}"'
        return f"{found}, expected {expected}"
    if rule == "enum":
        options = [str(option) for option in wanted]
        return f"{found}{hint(str(error.instance), options)}; allowed: {listed(options)}"
    sentences = {
        "minimum": f"{found}, expected at least {wanted}",
        "maximum": f"{found}, expected at most {wanted}",
        "exclusiveMinimum": f"{found}, expected more than {wanted}",
        "exclusiveMaximum": f"{found}, expected less than {wanted}",
        "minLength": "blank, expected text",
        "minItems": "an empty list, expected at least one item",
        "minProperties": "an empty block, expected at least one key",
        "uniqueItems": f"a list that names {_twice(error.instance)} twice: keep it once",
    }
    if rule in sentences:
        return sentences[rule]
    meaning = error.schema.get("description", error.message) if isinstance(error.schema, Mapping) else error.message
    return f"{found}, expected: {meaning}"


def _twice(items: Any) -> str:
    if not isinstance(items, list):
        return ""
    return ", ".join(sorted({f"'{item}'" for item in items if items.count(item) > 1}))
