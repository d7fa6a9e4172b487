"""The methods section of a paper, generated from what the runs recorded."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from harness.core.policy import rule_words
from harness.core.units import plural
from harness.exporting.latex import code, escape
from harness.exporting.references import (
    FAMILIES,
    PACKAGES,
    VALUES,
    cite,
    cite_metric,
    list_values,
)
from harness.reporting.compared_runs import ComparedRuns
from harness.reporting.text import PAIRINGS, name_rule
from harness.results import Run
from harness.results.format import format_margin

_GROUP_SEQUENTIAL = "jennison1999group"


def write_methods(found: ComparedRuns, runs: Sequence[Run]) -> str:
    """Return the section; of several runs what all share first, then a subsection for each."""
    written = [_write_run(run) for run in runs]
    shared = [
        [sentence for sentence in first if all(sentence in own for own in others)]
        for first, *others in zip(*written, strict=True)
    ]
    parts = [*_join(shared)]
    for item, paragraphs in zip(found.runs, written, strict=True) if len(runs) > 1 else ():
        own = [
            [sentence for sentence in sentences if sentence not in common]
            for sentences, common in zip(paragraphs, shared, strict=True)
        ]
        parts += [rf"\subsection{{Run {item.letter}: {escape(item.title)}}}", *_join(own)]
    techniques = _write_techniques(runs)
    parts.insert(sum(map(bool, shared)), techniques)
    return "\n\n".join(part for part in parts if part) + "\n"


def _write_run(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sentences on measuring and those on quality."""
    measured = (*_write_setup(run), *_write_images(run), *_write_timing(run))
    return measured, (*_write_quality(run), *_write_decision(run))


def _join(paragraphs: Sequence[Sequence[str]]) -> Iterator[str]:
    return (" ".join(sentences) for sentences in paragraphs if sentences)


def _write_setup(run: Run) -> Iterator[str]:
    plan = run.plan
    model, machine = plan.model, plan.machine
    measured = sum(cell.samples is not None for cell in run.candidates)
    baseline = plan.find(plan.baseline_id).cell
    unusual = ", ".join(
        f"{axis.replace('_', ' ')} {value}"
        for axis, value in baseline.by_axis.items()
        if value not in ("none", "default") or axis == "steps"
    )
    yield (
        f"We compared {plural(measured, 'configuration')} of {escape(model.title)} (family "
        f"{escape(model.family)}{cite(*FAMILIES.get(model.family, ()))}, weights "
        f"{code(model.digest[:12])}) with a baseline ({escape(unusual)})."
    )
    versions = [
        f"{escape(name)} {escape(machine.packages[name])}{cite(*PACKAGES.get(name, ()))}"
        for name in ("torch", "diffusers", "transformers", "peft", "numpy")
        if name in machine.packages
    ]
    driver = (
        f", driver {machine.gpus[0].driver}, CUDA {machine.gpus[0].cuda}" if machine.gpus else ""
    )
    yield (
        f"All ran on {escape(machine.title)}{escape(driver)}, {escape(machine.os)}, with Python "
        f"{escape(machine.python)}, {', '.join(versions)}, measured by diffusion-harness"
        f"{cite('harness')}."
    )
    missing = [cell for cell in run.candidates if cell.samples is None]
    if missing:
        names = "; ".join(f"{code(cell.id)} ({escape(cell.reason)})" for cell in missing)
        yield f"{plural(len(missing), 'further configuration')} did not run: {names}."


def _write_images(run: Run) -> Iterator[str]:
    plan = run.plan
    counts = [cell.image_count for cell in run.cells if cell.samples]
    seeds = ", ".join(map(str, plan.matrix.seeds))
    noun = "seed" if len(plan.matrix.seeds) == 1 else "seeds"
    prompts = plan.matrix.prompts.set.rpartition("/")[2]
    yield (
        f"Prompts are the first {len(plan.prompts):,} of the set {code(prompts)}, with {noun} "
        f"{seeds}; a prompt and a seed start from the same noise in every configuration."
    )
    if plan.interim_analyses:
        looks = ", ".join(f"{count:,}" for count in plan.interim_analyses)
        yield (
            f"The number of images is adaptive: verdicts were taken in a group-sequential design"
            f"{cite(_GROUP_SEQUENTIAL)} with interim analyses at {looks} prompts, whose levels "
            f"keep the error rate. Configurations used {min(counts):,} to {max(counts):,} images."
        )
    elif counts:
        yield f"Each configuration generated {max(counts):,} images."


def _write_timing(run: Run) -> Iterator[str]:
    timed = [cell.samples for cell in run.candidates if cell.samples and cell.samples.repeats]
    if not timed:
        yield "Latencies were not measured."
        return
    measure = run.plan.matrix.measure
    kinds = Counter(samples.pairing.kind for samples in timed)
    how = "; ".join(
        f"{plural(count, 'configuration')} {escape(PAIRINGS[kind])}"
        for kind, count in kinds.most_common()
    )
    blocks = median(len(samples.pairing.of("cell")) for samples in timed)
    calls = median(len(samples.repeats) for samples in timed)
    batches = sorted({samples.batch for samples in timed})
    yield (
        "Latency is that of whole pipeline calls at batch size "
        f"{' or '.join(map(str, batches))}, after {plural(measure.warmup, 'discarded call')}. "
        f"Timing: {how}; a median of {blocks:g} blocks and {calls:g} calls per configuration, "
        f"until the 95\\,\\% interval was as narrow as $\\pm${_percent(measure.precision)} or "
        f"{measure.max_s:g}\\,s of calls had been taken. A speedup is the baseline's seconds per "
        "image divided by the configuration's: in each round the log ratio of geometric means of "
        "block medians, over rounds their Hodges--Lehmann location"
        f"{cite('hodges1963estimates')} with a bootstrap interval{cite('efron1993introduction')}. "
        "Seconds per image in tables and figures are the baseline's median divided by the "
        "speedup."
    )
    doubted = sum(bool(samples.warnings) for samples in timed)
    if doubted:
        yield f"Cautions on {plural(doubted, 'configuration')} are listed in the appendix."


def _percent(share: float) -> str:
    return escape(format_margin(share)).replace(" ", "\\,")


def _write_quality(run: Run) -> Iterator[str]:
    gating = {
        delta.metric for found in run.deltas.values() for delta in found.values() if delta.gates
    }
    names = [f"{code(name)}{cite_metric(name)}" for name in run.definitions if name in gating]
    others = [f"{code(name)}{cite_metric(name)}" for name in run.definitions if name not in gating]
    if names:
        also = f"; reported only: {', '.join(others)}" if others else ""
        yield (
            f"Metrics that decide: {', '.join(names)}{also}. Extractors, weights, resizing and "
            "references are in the appendix."
        )
    yield (
        "Each change against the baseline is put on one calibrated scale, the \\emph{loss}: "
        "0\\,\\% is a rerun of the baseline, 100\\,\\% is destroyed quality."
    )
    methods = dict.fromkeys(
        score.value.method for found in run.scores.values() for score in found.values()
    )
    if methods:
        yield f"Intervals are 95\\,\\% ({escape('; '.join(methods))})."
    missing = run.evaluation.missing if run.evaluation else {}
    if missing:
        listed = "; ".join(f"{code(name)}: {escape(why)}" for name, why in missing.items())
        yield f"Not computed: {listed}."


def _write_decision(run: Run) -> Iterator[str]:
    policy = run.policy
    rules = "; ".join(escape(rule_words(rule)).replace(" \\%", "\\,\\%") for rule in policy.gate)
    levels = sorted({rule.level for rule in policy.gate if rule.severity == "error"})
    level = " or ".join(f"{level * 100:g}\\,\\%" for level in levels)
    planned = run.plan.policy
    when = (
        "fixed before measuring"
        if policy == planned
        else f"chosen after measuring (before it: {code(planned.name)})"
    )
    yield (
        f"A configuration is non-inferior if it meets every rule of the policy "
        f"{code(policy.name)}, {when}: {rules}."
    )
    correction = (
        f"one-sided tests at {level} confidence with Holm's correction{cite('holm1979simple')} "
        "over the configurations"
        if policy.correction == "holm"
        else f"one-sided tests at {level} confidence without correction for multiplicity"
    )
    yield f"Rules on losses are {correction}."
    judged = [cell for cell in run.candidates if cell.verdict]
    counts = Counter(cell.standing for cell in judged)
    words = {"pass": "non-inferior", "fail": "inferior", "missing": "without a figure"}
    summary = ", ".join(f"{count} {words.get(name, name)}" for name, count in counts.items())
    yield f"Of {plural(len(judged), 'configuration')}: {summary}."
    broken = Counter(
        name_rule(rule)
        for cell in judged
        for rule in (cell.verdict.errors if cell.verdict else ())
        if rule.result == "fail"
    )
    if broken:
        listed = ", ".join(f"{code(name)} {count}" for name, count in broken.most_common())
        yield f"Failed rules by number of configurations: {listed}."


def _write_techniques(runs: Sequence[Run]) -> str:
    known = [f"{code(name)}{cite(*VALUES[name])}" for name in list_values(runs) if name in VALUES]
    return f"Techniques with a published description: {', '.join(known)}." if known else ""
