"""The members of a bundle: records, report, policy, environment, hashes of images and weights."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.checkpoints.digest import digest_file
from harness.core.errors import MachineError, ResultsError
from harness.core.model import ModelSource
from harness.core.outcome import Completed
from harness.core.plan import Plan
from harness.core.units import plural
from harness.core.verdict import Judgement
from harness.results import Run
from harness.signing.envelope import write_json
from harness.store import image_path, write_judgement
from harness.store.layout import RunFolder
from harness.store.write import write_atomically

RUN, REPORT, DEPLOYMENTS = "run", "report", "deployments"
POLICY, ENVIRONMENT, PACKAGES = "policy.json", "environment.json", "packages.txt"
IMAGE_HASHES, WEIGHT_HASHES = "images.json", "weights.json"
_FEW = 3


class ImageHashes(NamedTuple):
    """Place in the run → sha256 of every image, and how many of the files were compared."""

    digests: dict[str, str]
    checked: int


class WeightHashes(NamedTuple):
    """Name → sha256 of the model's files; value → sha256 of the files of LoRAs that it brings."""

    model: dict[str, str]
    brought: dict[str, tuple[str, ...]]


def hash_images(run: Run) -> ImageHashes:
    """Return the digests of all images as the run recorded them.

    Raises ResultsError for files that differ from them. Files that are gone are not compared.
    """
    digests: dict[str, str] = {}
    changed, checked = [], 0
    for cell_id, outcome in run.outcomes.items():
        for image in outcome.images if isinstance(outcome, Completed) else ():
            name, path = name_image(cell_id, image.path), image_path(run.folder, cell_id, image)
            digests[name] = image.sha256
            if path.exists():
                checked += 1
                changed += [name] if digest_file(path) != image.sha256 else []
    if changed:
        some = ", ".join(changed[:_FEW]) + (", …" if len(changed) > _FEW else "")
        what = f"{plural(len(changed), 'image')} changed since the run: {some}"
        raise ResultsError(what, str(run.folder), "Restore them, or measure these cells again.")
    return ImageHashes(digests, checked)


def name_image(cell_id: str, path: str) -> str:
    """Return how an image is called in images.json."""
    return f"cells/{cell_id}/{path}"


def hash_weights(plan: Plan, source: ModelSource) -> WeightHashes:
    """Return the digests of the files that a run's model is loaded from.

    Raises MachineError if some are missing, ResultsError if they changed since the run.
    """
    info = source.describe()
    if info.download is not None and info.download.missing:
        what = f"{plural(len(info.download.missing), 'file')} of the model are not on this machine"
        fix = "Sign where the run was made, or fetch them: hf download"
        raise MachineError(what, info.title, fix)
    if info.digest != plan.model.digest:
        now, then = info.digest[:12], plan.model.digest[:12]
        what = f"the model's files changed since the run: {now}, not {then}"
        raise ResultsError(what, info.title, "Restore them, or measure again: harness run MATRIX")
    model = {name: digest_file(path) for name, path in sorted(source.list_files().items())}
    brought = {
        value: tuple(sorted(digest_file(path) for path in folder.rglob("*.safetensors")))
        for value, folder in source.list_adapters().items()
    }
    return WeightHashes(model, brought)


def read_weights(data: bytes) -> WeightHashes:
    """Return the digests in weights.json; ValueError, LookupError or TypeError if it holds none."""
    found = json.loads(data)
    brought = {str(value): tuple(map(str, digests)) for value, digests in found["adapters"].items()}
    return WeightHashes({str(name): str(sha) for name, sha in found["model"].items()}, brought)


def describe_deployment(plan: Plan, cell_id: str, weights: WeightHashes) -> bytes:
    """Return what a deployment of one cell consists of, as JSON: settings and digests of files."""
    planned = plan.find(cell_id)
    adapters = {axis: [digest] for axis, digest in planned.files.items()}
    for setting in planned.cell.settings:
        if setting.axis not in adapters and setting.name in weights.brought:
            adapters[setting.axis] = list(weights.brought[setting.name])
    return write_json(
        {
            "run": plan.run_id,
            "cell": cell_id,
            "settings": planned.cell.by_axis,
            "model": {"title": plan.model.title, "digest": plan.model.digest},
            "weights": weights.model,
            "adapters": adapters,
        }
    )


def stage_run(run: Run, judgement: Judgement, place: Path) -> Path:
    """Copy a run's records with another judgement into a folder of the same name under `place`,
    linking its images; return it."""
    folder = place / run.plan.run_id
    for record in RunFolder(run.folder).list_records():
        write_atomically(folder / record, (run.folder / record).read_bytes())
    for cell in run.plan.cells:
        if (images := RunFolder(run.folder).images(cell.id)).is_dir():
            os.symlink(images.resolve(), RunFolder(folder).images(cell.id))
    write_judgement(folder, judgement)
    return folder


def collect_members(
    staged: Path, report: Path, run: Run, images: ImageHashes, weights: WeightHashes
) -> dict[str, bytes]:
    """Return name → content of a bundle's members, besides those of the signature."""
    records = {f"{RUN}/{path.as_posix()}": staged / path
               for path in RunFolder(staged).list_records()}  # fmt: skip
    pages = {f"{REPORT}/{path.relative_to(report).as_posix()}": path
             for path in report.rglob("*") if path.is_file()}  # fmt: skip
    members = {name: path.read_bytes() for name, path in {**records, **pages}.items()}
    assert run.judgement is not None
    evaluation = run.evaluation
    definitions = {score.definition.metric: score.definition.weights_sha256
                   for score in (evaluation.scores if evaluation else ())}  # fmt: skip
    members[POLICY] = write_json(run.judgement.policy.model_dump(mode="json"))
    members[ENVIRONMENT] = write_json(run.plan.machine.model_dump(mode="json"))
    members[PACKAGES] = _write_lock(members.pop(f"{RUN}/{PACKAGES}", b""), run.plan)
    members[IMAGE_HASHES] = write_json(images.digests)
    members[WEIGHT_HASHES] = write_json(
        {"model": weights.model, "adapters": weights.brought, "metrics": definitions}
    )
    return members


def _write_lock(recorded: bytes, plan: Plan) -> bytes:
    """Return the lock of packages; for runs that recorded none, the versions in the plan."""
    head = f"# Python {plan.machine.python}\n"
    if recorded:
        return head.encode() + recorded
    known = "".join(f"{name}=={version}\n" for name, version in plan.machine.packages.items())
    note = "# The run recorded no full lock: packages that its figures depend on.\n"
    return (head + note + known).encode()


def write_files(members: Mapping[str, bytes], place: Path) -> Path:
    """Write the run of a bundle under `place`; return its folder."""
    folder = place / RUN
    for name, data in members.items():
        if name.startswith(f"{RUN}/"):
            write_atomically(place / name, data)
    return folder
