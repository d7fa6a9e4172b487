"""The JSON Schema of matrix files, for completion and checks in editors."""

import json
from typing import Any

from harness.axes import list_value_names, load_axes
from harness.core.catalog import list_names, resolve
from harness.core.matrix import Matrix, Model
from harness.core.model import ModelSource
from harness.core.rule import ABOUT
from harness.matrix.policy import policy_names


def json_schema() -> str:
    """Return the schema as text: types from pydantic, axes and values from their folders."""
    schema: dict[str, Any] = Matrix.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "harness matrix"
    properties = {axis.name: _axis_schema(axis.name, axis.summary) for axis in load_axes()}
    schema["properties"]["axes"] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    schema["$defs"]["Model"] = _model_schema()
    schema["properties"]["model"]["default"] = Model().source
    quantities = [{"const": name, "description": about} for name, about in ABOUT.items()]
    schema["$defs"]["Rule"]["properties"]["quantity"] = {"default": "loss", "oneOf": quantities}
    schema["properties"]["policy"]["examples"] = list(policy_names())
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _model_schema() -> dict[str, Any]:
    """A word, or a table with the keys of its source."""
    about = "bundled, a folder in diffusers' layout, a .safetensors file, or owner/name@revision"
    sources = {
        name: resolve("harness.models", name, ModelSource) for name in list_names("harness.models")
    }
    tables = [_source_schema(name, source) for name, source in sources.items()]
    return {"anyOf": [{"type": "string", "description": about, "examples": ["bundled"]}, *tables]}


def _source_schema(name: str, source: type[ModelSource]) -> dict[str, Any]:
    own = source.model_json_schema()
    named = {"source": {"const": name, "description": source.summary}, **own.get("properties", {})}
    return {
        **own,
        "title": name,
        "properties": named,
        "required": ["source", *own.get("required", [])],
    }


def _axis_schema(axis: str, summary: str) -> dict[str, Any]:
    names = list_value_names(axis)
    named: dict[str, Any] = (
        {"type": "string", "examples": list(names)} if names else {"type": ["number", "string"]}
    )
    table = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return {
        "type": "array",
        "description": summary,
        "minItems": 1,
        "items": {"anyOf": [named, table]},
    }
