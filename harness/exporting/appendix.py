"""The reproducibility appendix of a paper: commands, digests, versions, matrix, cautions."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.core.outcome import Image
from harness.core.units import Absent
from harness.exporting.latex import TexColumn, code, escape, longtable, verbatim
from harness.reporting.compared_runs import ComparedRuns
from harness.results import Run
from harness.store.layout import RunFolder


def write_appendix(found: ComparedRuns, runs: Sequence[Run]) -> str:
    """Return commands, digests, versions, cautions and the matrix of every run."""
    parts = []
    for item, run in zip(found.runs, runs, strict=True):
        title = f"Run {item.letter}: {escape(item.title)}" if len(runs) > 1 else "Reproduction"
        parts += [rf"\subsection{{{title}}}", *_write_run(run)]
    return "\n\n".join(parts) + "\n"


def _write_run(run: Run) -> Iterator[str]:
    machine = run.plan.machine
    commit = machine.git_commit
    known = "an unknown commit" if isinstance(commit, Absent) else f"commit {code(commit[:12])}"
    dirty = " with local changes" if machine.git_dirty is True else ""
    yield (
        f"Run {code(run.plan.run_id)}, measured with diffusion-harness at {known}{dirty}. With the "
        "matrix below as \\texttt{matrix.toml}:"
    )
    yield verbatim("\n".join(list_commands(run)))
    yield "Digests (SHA-256):"
    rows = [(escape(name), code(digest)) for name, digest in list_digests(run)]
    table = longtable((TexColumn("What", "p{0.3\\linewidth}"), TexColumn("Digest")), rows)
    yield f"{{\\scriptsize\n{table}\n}}"
    packages = ", ".join(
        f"{escape(name)} {escape(version)}" for name, version in sorted(machine.packages.items())
    )
    yield f"Packages: {packages}."
    if cautions := list(_list_cautions(run)):
        yield "Cautions:"
        items = "\n".join(rf"\item {line}" for line in cautions)
        yield f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    if run.plan.notes:
        items = "\n".join(rf"\item {escape(note)}" for note in run.plan.notes)
        yield f"Notes of the plan:\n\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    if run.matrix_text:
        yield "Matrix:"
        yield verbatim(run.matrix_text)


def list_commands(run: Run) -> tuple[str, ...]:
    """Return the commands that measure, score and judge a run again."""
    policy = run.policy.name.partition(" ")[0]
    return (
        "harness plan matrix.toml",
        "harness run matrix.toml",
        f"harness evaluate {run.folder.name}",
        f"harness gate {run.folder.name} --policy {policy}",
        f"harness export {run.folder.name} --to paper",
    )


def list_digests(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what identifies the inputs and results of a run, each with its SHA-256."""
    plan, folder = run.plan, RunFolder(run.folder)
    yield "model weights", plan.model.digest
    yield "matrix", plan.matrix_sha256
    if run.policy.sha256:
        yield f"policy {run.policy.name}", run.policy.sha256
    if plan.latent:
        yield "initial noise", plan.latent.sha256
    for axis, digest in sorted(
        {(axis, digest) for planned in plan.cells for axis, digest in planned.files.items()}
    ):
        yield f"files of {axis}", digest
    for metric, definition in run.definitions.items():
        if definition.weights_sha256:
            yield f"weights of {metric}", definition.weights_sha256
    for path in (folder.run_json, folder.deltas, folder.verdicts):
        yield path.name, _digest(path)
    for cell in run.cells:
        if cell.samples and cell.samples.images:
            yield f"images of {cell.id}", digest_images(cell.samples.images)


def digest_images(images: Sequence[Image]) -> str:
    """Return the SHA-256 of a cell's image digests in their order."""
    joined = "".join(image.sha256 for image in images)
    return hashlib.sha256(joined.encode()).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _list_cautions(run: Run) -> Iterator[str]:
    """Yield each caution once, with the cells that have it."""
    places: dict[str, list[str]] = {}
    for cell in run.cells:
        for warning in cell.samples.warnings if cell.samples else ():
            places.setdefault(f"{warning.kind}: {warning.message}", []).append(cell.id)
    for text, cells in places.items():
        yield f"{escape(text)} ({', '.join(code(cell) for cell in cells)})"
