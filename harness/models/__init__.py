"""Models to measure: one file per source."""

from harness.core.catalog import resolve
from harness.core.matrix import Model
from harness.core.model import ModelSource


def resolve_model(model: Model) -> ModelSource:
    """Return the source that a matrix's `[model]` names, its options validated; UsageError for an unknown one."""
    return resolve("harness.models", model.source, ModelSource).model_validate(model.options)
