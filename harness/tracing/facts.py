"""The facts of a trace: time by stage and kernel family, pauses, waits, copies, timeline."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.core.trace import (
    BETWEEN,
    REGION,
    STAGE,
    STEP,
    Family,
    Gap,
    Kernel,
    Span,
    StageTime,
    TraceFacts,
)
from harness.tracing import activity, tallies
from harness.tracing.activity import CALL, Busy, attribute_busy_time, find_idle_time
from harness.tracing.chrome_trace import Event, read_events
from harness.tracing.work import TraceWork, classify_kernel, is_launch, shorten_name, sort_events

_KERNELS, _GAPS = 200, 10


def read_trace(path: Path) -> TraceFacts:
    """Return the facts of a trace of torch.profiler (.json or .json.gz, of a GPU or of a CPU).

    Raises ResultsError for a damaged file, or one without the GPU's work.
    """
    seen = sort_events(read_events(path))
    begin, end = _window(seen)
    seen = seen.within(begin, end)
    end = max(end, max((work.end_s for work in seen.work), default=end))
    stages = activity.Stages(seen)
    busy, idle = attribute_busy_time(seen.work, stages), find_idle_time(seen.work, (begin, end))
    spans, left_out = build_timeline(seen, begin)
    return TraceFacts(
        device=seen.device,
        wall_s=end - begin,
        busy_s=sum(piece.seconds for piece in busy),
        stages=_stage_times(seen, stages, busy, idle),
        kernels=_kernels(busy),
        gaps=_gaps(seen, stages, idle, begin),
        synchronisations=tallies.count_waits(seen, stages, idle),
        host_to_device=tallies.count_copies(busy, "HtoD"),
        device_to_host=tallies.count_copies(busy, "DtoH"),
        casts=tallies.count_casts(seen, stages, busy),
        recompiles=tallies.count_recompiles(seen),
        compiling_s=tallies.sum_compiling_s(seen, stages),
        timeline=spans,
        ranges_left_out=left_out,
        notes=_notes(seen, end - begin),
    )


def _window(seen: TraceWork) -> tuple[float, float]:
    """Return begin and end of the traced call: of its range, or else of all host events."""
    events = [event for event in seen.ranges if event.name == activity.CALL] or seen.host
    return min((event.begin_s for event in events), default=0.0), max(
        (event.end_s for event in events), default=0.0
    )


def _stage_times(
    seen: TraceWork, stages: activity.Stages, busy: Sequence[Busy], idle: Sequence[activity.Idle]
) -> tuple[StageTime, ...]:
    """Return the sums by stage, in the order in which stages began."""
    families: defaultdict[str, defaultdict[Family, float]] = defaultdict(lambda: defaultdict(float))
    kernels: Counter[str] = Counter()
    waiting: defaultdict[str, float] = defaultdict(float)
    launches: dict[str, list[Event]] = {}
    for piece in busy:
        families[piece.stage][classify_kernel(piece.work.name)] += piece.seconds
        kernels[piece.stage] += piece.work.calls
    for gap in idle:
        for stage, seconds in stages.during(gap.begin_s, gap.end_s):
            waiting[stage] += seconds
    for event in seen.runtime:
        if is_launch(event):
            launches.setdefault(stages.at(event.begin_s), []).append(event)
    calls = Counter(
        event.name.removeprefix(STAGE) for event in seen.ranges if event.name.startswith(STAGE)
    )
    return tuple(
        StageTime(
            stage=stage,
            calls=calls[stage],
            wall_s=sum(families[stage].values()) + waiting[stage],
            busy_s=sum(families[stage].values()),
            families_s=dict(sorted(families[stage].items(), key=lambda pair: -pair[1])),
            kernels=kernels[stage],
            launches=len(launches.get(stage, ())),
            graph_launches=sum("Graph" in event.name for event in launches.get(stage, ())),
            launch_s=sum(event.end_s - event.begin_s for event in launches.get(stage, ())),
        )
        for stage in (*calls, BETWEEN)
    )


def _kernels(busy: Sequence[Busy]) -> tuple[Kernel, ...]:
    calls: Counter[tuple[str, Family, str]] = Counter()
    seconds: defaultdict[tuple[str, Family, str], float] = defaultdict(float)
    for work, stage, _ in busy:
        key = (shorten_name(work.name), classify_kernel(work.name), stage)
        calls[key] += work.calls
        seconds[key] += work.end_s - work.begin_s
    return tuple(
        Kernel(name=key[0], family=key[1], stage=key[2], calls=calls[key], total_s=total)
        for key, total in sorted(seconds.items(), key=lambda pair: -pair[1])[:_KERNELS]
    )


def _gaps(
    seen: TraceWork, stages: activity.Stages, idle: Sequence[activity.Idle], begin_s: float
) -> tuple[Gap, ...]:
    longest = sorted(idle, key=lambda gap: -gap.seconds)[:_GAPS]
    doing = activity.HostActivity(seen, longest)
    return tuple(
        Gap(
            begin_s=gap.begin_s - begin_s,
            seconds=gap.seconds,
            stage=max(stages.during(gap.begin_s, gap.end_s), key=lambda pair: pair[1])[0],
            after=gap.after,
            before=gap.before,
            host=doing.during(gap.begin_s, gap.end_s),
        )
        for gap in longest
    )


def _notes(seen: TraceWork, wall_s: float) -> tuple[str, ...]:
    """Return notes on the quality of the trace itself."""
    notes = []
    if not any(event.name.startswith(STAGE) for event in seen.ranges):
        notes.append("no stages are marked in this trace: all time counts as between stages")
    lost = sum(work.launched_s is None for work in seen.work)
    if lost:
        notes.append(
            f"the launches of {lost} of {len(seen.work)} kernels are missing: placed by when they "
            "ran"
        )
    if seen.overhead_s > 0.02 * wall_s:
        notes.append(f"the profiler itself took {seen.overhead_s * 1e3:.1f} ms of it")
    return tuple(notes)


_MOST = 400
_KINDS: tuple[tuple[str, Literal["stage", "step", "region"]], ...] = (
    (STAGE, "stage"),
    (STEP, "step"),
    (REGION, "region"),
)


def build_timeline(seen: TraceWork, begin_s: float) -> tuple[tuple[Span, ...], int]:
    """Return harness's ranges in the trace, outer before inner, and how many are left out.

    On a GPU a bar extends over the device work that was launched in the range, since the host runs
    ahead; a range that launched nothing is drawn at the host's time. Times are relative to
    `begin_s`. Of very many ranges the shortest are left out, which never contain others.
    """
    ours = [
        (event, kind)
        for event in seen.ranges
        for prefix, kind in _KINDS
        if event.name.startswith(prefix) and event.name != CALL
    ]
    placed = _Placed(seen)
    spans: list[Span] = []
    around: list[tuple[Event, Span]] = []
    for event, kind in ours:
        while around and around[-1][0].end_s <= event.begin_s:
            around.pop()
        begin, end = placed.extent(event)
        if around:
            outer_begin = around[-1][1].begin_s + begin_s
            begin, end = max(begin, outer_begin), min(end, outer_begin + around[-1][1].seconds)
        if end <= begin:
            continue
        name = event.name.split(":", 1)[1]
        span = Span(
            kind=kind,
            name=f"step {name}" if kind == "step" else name,
            begin_s=begin - begin_s,
            seconds=end - begin,
            depth=len(around),
        )
        spans.append(span)
        around.append((event, span))
    longest = sorted(spans, key=lambda span: (-span.seconds, span.depth))[:_MOST]
    shown = tuple(sorted(longest, key=lambda span: (span.begin_s, span.depth)))
    return shown, len(spans) - len(shown)


class _Placed:
    """The position of the work that was launched in a range."""

    def __init__(self, seen: TraceWork) -> None:
        self._device = seen.device
        work = sorted(
            (work for work in seen.work if work.launched_s is not None),
            key=lambda work: work.asked_s,
        )
        self._launched = [work.asked_s for work in work]
        self._work = work

    def extent(self, event: Event) -> tuple[float, float]:
        first, last = (
            bisect_left(self._launched, event.begin_s),
            bisect_left(self._launched, event.end_s),
        )
        if self._device == "cpu" or first == last:
            return event.begin_s, event.end_s
        own = self._work[first:last]
        return min(work.begin_s for work in own), max(work.end_s for work in own)
