"""How a file without harness loads a pipeline from a folder or a Hub id."""

from harness.core.recipe import FamilyLines, ModelLines, NoRecipe
from harness.models._folder import Folder
from harness.models.families import find_family


def write_folder_lines(
    folder: Folder, place: str, variant: str
) -> tuple[FamilyLines, ModelLines] | NoRecipe:
    """Return the family's lines and those that load `place`, whose files are those of `folder`."""
    nulls = [name for name, value in folder.index.items() if value is None]
    if any(name in folder.index and name[:1] != "_" for name in nulls):
        reason = f"model_index.json says null for {', '.join(nulls)}, which diffusers does not load"
        return NoRecipe(reason=reason, hint="write [null, null] there")
    arguments = {"variant": repr(variant)} if variant else {}
    return find_family(folder).recipe(), ModelLines(place=place, arguments=arguments)
