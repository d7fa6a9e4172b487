"""The JSON Schema of matrix files, for completion and checks in editors."""

import json
from typing import Any

from harness.axes import all_axes, value_names
from harness.core.catalog import list_names
from harness.core.matrix import Matrix
from harness.core.rule import ABOUT
from harness.matrix.policy import policy_names


def json_schema() -> str:
    """Return the schema as text: types from pydantic, names of axes and values from their folders."""
    schema: dict[str, Any] = Matrix.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "harness matrix"
    properties = {axis.name: _axis_schema(axis.name, axis.summary) for axis in all_axes()}
    schema["properties"]["axes"] = {"type": "object", "properties": properties, "additionalProperties": False}
    schema["$defs"]["Model"]["properties"]["source"]["enum"] = list(list_names("harness.models"))
    quantities = [{"const": name, "description": about} for name, about in ABOUT.items()]
    schema["$defs"]["Rule"]["properties"]["quantity"] = {"default": "loss", "oneOf": quantities}
    schema["properties"]["policy"]["examples"] = list(policy_names())
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _axis_schema(axis: str, summary: str) -> dict[str, Any]:
    names = value_names(axis)
    named: dict[str, Any] = {"type": "string", "examples": list(names)} if names else {"type": ["number", "string"]}
    table = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return {"type": "array", "description": summary, "minItems": 1, "items": {"anyOf": [named, table]}}
