"""Pipeline families, one file each; a folder's family is read from its model_index.json."""

from functools import cache

from harness.core.catalog import list_names, resolve
from harness.core.errors import UsageError
from harness.models._folder import INDEX, Folder
from harness.models._pipeline import PipelineModel


@cache
def _families() -> dict[str, type[PipelineModel]]:
    names = list_names("harness.models.families")
    found = [resolve("harness.models.families", name, PipelineModel) for name in names]
    return {family.pipeline_class: family for family in found}


def find_family(folder: Folder) -> type[PipelineModel]:
    """Return the family of a pipeline folder, without torch; UsageError for an unknown pipeline."""
    family = _families().get(folder.pipeline_class)
    if family is None:
        known = f"Known: {', '.join(sorted(_families()))}"
        what = f'no family knows the pipeline "{folder.pipeline_class}"'
        raise UsageError(what, str(folder.path), known)
    _refuse_incomplete(folder, family)
    return family


def _refuse_incomplete(folder: Folder, family: type[PipelineModel]) -> None:
    sole = family.sole_encoder if _reads_alone(folder, family) else ""
    encoders = [name for name in family.encoders if name in folder.components or sole in ("", name)]
    tokenizers = [name.replace("text_encoder", "tokenizer") for name in encoders]
    needed = (family.denoiser_name, "vae", "scheduler", *encoders, *tokenizers)
    missing = [name for name in needed if name not in folder.components]
    if missing:
        what = f"{INDEX} names no {' and no '.join(missing)}, which a {family.pipeline_class} needs"
        fix = 'Add each with library and class, such as "vae": ["diffusers", "AutoencoderKL"].'
        raise UsageError(what, str(folder.path), fix)


def _reads_alone(folder: Folder, family: type[PipelineModel]) -> bool:
    """Return whether one encoder is enough, by its width; also before a download has its files."""
    parts = (family.denoiser_name, family.sole_encoder)
    if not all((folder.path / part / "config.json").exists() for part in parts):
        return bool(family.sole_encoder)
    width = folder.config(family.denoiser_name).get("cross_attention_dim")
    return width is not None and width == folder.config(family.sole_encoder).get("hidden_size")
