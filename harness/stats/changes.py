"""Changes of level in series of nightly readings, found night by night at a rate of false alarms.

Every night asks of every series whether the newest k nights left the level of the nights before,
for many k at once. The answer is a Shiryaev–Roberts e-detector (Shin, Ramdas & Rinaldo 2023,
"E-detectors"): the sum over starting nights of an e-value for a change there, so that the threshold
bounds the average run length from below. The e-value is the likelihood ratio of the two means with
a half-normal prior on the change (Robbins & Siegmund 1970), over a window as in Siegmund &
Venkatraman (1995). Page's CUSUM (1954) is the special case of one known size.

Real nights are neither normal nor independent, so:
- a reading counts for at most CLIP scales, and no change is found on fewer than LEAST_NEW nights:
  one bad night decides nothing, and two only with a third that leans to their side;
- the scale is Huber's proposal 2 (1964), which a machine with two speeds widens, and Wallace's
  transform (1959) of Student's t accounts for its estimation;
- means are as uncertain as an autoregression of order one makes them;
- thresholds rise with the share of outliers in the group.
What this leaves of the guarantee is simulated by tests/benchmarks/nightly_simulation.py, next to
E-Divisive (Matteson & James 2014), which looks back at the whole series.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

CLIP = 3.0
"""Scales from the level beyond which a reading counts no further."""
WINDOW = 120
"""Readings that a level and its scale rest on."""
LEAST = 8
"""Readings before anything is judged."""
LEAST_NEW, LEAST_OLD = 3, 3
"""Readings that a change needs on either side."""
PRIOR = 2.0
"""Scales: the standard deviation of the prior on the size of a change."""
LAGS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 24, 30, 38, 48, 60])
"""Numbers of newest readings that are compared with those before."""
WEIGHTS = np.where(LAGS <= 4, 1.0, np.where(LAGS <= 15, 0.5, 0.2))
"""Weights of the lags: most of the budget goes to quick decisions."""
WAIT = 12
"""The newest readings, which may be at a new level, do not enter the scale."""
USUAL_OUTLIERS, OUTLIER_PRICE = 0.005, 200.0
"""The threshold of a group rises with the share of its readings beyond CLIP: twofold where one in a
hundred is an outlier."""
SUSPICION = 10.0
"""A change is suspected at this fraction of the threshold: ten suspicions for a false alarm."""
FURTHEST = 60
"""Nights within which a suspected change is decided, or is not forecast."""
_HUBER = 2.0
_MOST_CORRELATED = 0.9
_EARLIER = 30


class Shift(NamedTuple):
    """A series that moved: its first reading at the new level, the one that found it, +1 or −1."""

    series: int
    since: int
    found: int
    sign: int


class Suspicion(NamedTuple):
    """A shift of the newest readings that needs `more` readings at its present size (None: over
    FURTHEST)."""

    series: int
    since: int
    sign: int
    more: int | None


class Detection(NamedTuple):
    """All shifts in order of being found, suspicions of the newest reading, and the noise of each
    series: its scale, autocorrelation and degrees of freedom."""

    shifts: tuple[Shift, ...]
    suspicions: tuple[Suspicion, ...]
    scale: Floats
    correlation: Floats
    freedom: Floats


class Readings(NamedTuple):
    """Series side by side: values (s, n) with NaN where absent, half-widths of their 95 % intervals
    (s, n) or None, the least scale (s,) of each, and its group (s,), which shares a correlation."""

    values: Floats
    half_widths: Floats | None
    least_scale: Floats
    group: Numbers


def find_shifts(readings: Readings, thresholds: Floats) -> Detection:
    """Return every shift of level, judging each night by itself and the nights before it only.

    `thresholds` (n, 2) are e-values that a shift up and a shift down must reach at each night.
    """
    watch = _Watch(readings)
    limits = np.log(thresholds)
    nights = readings.values.shape[1]
    for night in range(LEAST - 1, nights):
        watch.advance(night)
        for column, sign in enumerate((1, -1)):
            watch.decide(night, sign, limits[night, column])
    return watch.finish(limits[-1] if nights else np.zeros(2))


def log_evidence(z: Floats, variance: Floats) -> Floats:
    """Return the logarithm of the e-value for a rise, of a difference of means as a standard normal
    z, with its variance in squared scales."""
    from scipy.special import log_ndtr

    total = variance + PRIOR**2
    gain = z**2 * PRIOR**2 / (2 * total) - 0.5 * np.log(total / variance)
    return np.asarray(np.log(2) + gain + log_ndtr(z * PRIOR / np.sqrt(total)))


def inflate(correlation: Floats, count: Floats) -> Floats:
    """Return how many times the variance of a mean of `count` readings is that of independent ones,
    for an autoregression of order one."""
    rest = 1 - correlation
    decay = 2 * correlation * (1 - correlation**count) / (count * rest**2)
    return np.asarray((1 + correlation) / rest - decay)


class _Tests(NamedTuple):
    """Comparisons of the newest k readings with those before, (s, lags)."""

    usable: NDArray[np.bool_]
    newer: Floats
    older: Floats
    move: Floats
    variance: Floats
    z: Floats


class _Watch:
    """The state of all series at one night; earlier nights are moved to the present level."""

    def __init__(self, readings: Readings) -> None:
        self.present = np.isfinite(readings.values)
        self.x = np.where(self.present, readings.values, 0.0)
        self.half_widths, self.least_scale = readings.half_widths, readings.least_scale
        _, self.group, self.sizes = np.unique(
            readings.group, return_inverse=True, return_counts=True
        )
        series = len(self.x)
        self.start = np.zeros(series, dtype=np.int64)
        self.centre = np.full(series, np.nan)
        self.scale = np.array(readings.least_scale, dtype=np.float64)
        self.correlation, self.freedom = np.zeros(series), np.full(series, 3.0)
        self.price = np.zeros(series)
        self.lags = LAGS[:0]
        self.tests: _Tests | None = None
        self.shifts: list[Shift] = []

    def advance(self, night: int) -> None:
        """Update levels, scales and correlations, and compare every number of newest nights."""
        span = slice(max(0, night + 1 - WINDOW), night + 1)
        here = self.present[:, span].astype(np.float64)
        settled = here.shape[1] - min(WAIT, here.shape[1] // 2)
        widening = self._widen(span)
        old = slice(span.start, span.start + settled)
        self._locate(self.x[:, old], here[:, :settled], widening[:, :settled])
        away = (self.x[:, span] - self.centre[:, None]) / (self.scale[:, None] * widening)
        away = np.where(here > 0, np.clip(away, -CLIP, CLIP), 0.0)
        self._correlate(away[:, :settled], here[:, :settled])
        self._price_outliers(away[:, :settled], here[:, :settled])
        places = np.arange(span.start, span.stop)
        inside = here * (places >= self.start[:, None])
        self._compare(away * inside, inside)

    def _widen(self, span: slice) -> Floats:
        """Return how many times as noisy as usual each reading is, by its own interval."""
        if self.half_widths is None:
            return np.ones((len(self.x), 1))
        widths = self.half_widths[:, span]
        usual = row_medians(np.where(self.present[:, span], widths, np.nan))[:, None]
        surplus = np.maximum(np.nan_to_num(widths**2 - usual**2), 0.0) / 1.96**2
        return np.sqrt(1 + surplus / self.scale[:, None] ** 2)

    def _locate(self, x: Floats, here: Floats, widening: Floats) -> None:
        """Update the level and scale of every series (Huber 1964, proposal 2)."""
        fresh = np.isnan(self.centre)
        if fresh.any():
            known = np.where(here[fresh] > 0, x[fresh], np.nan)
            self.centre[fresh] = row_medians(known)
            spread = 1.4826 * row_medians(np.abs(known - self.centre[fresh][:, None]))
            self.scale[fresh] = np.fmax(spread, self.least_scale[fresh])
        count = here.sum(axis=1)
        for _ in range(15 if fresh.any() else 2):
            away = (x - self.centre[:, None]) / (self.scale[:, None] * widening)
            clipped = np.where(here > 0, np.clip(away, -_HUBER, _HUBER), 0.0)
            square = (clipped**2).sum(axis=1) / np.maximum(count - 1, 1) / _CONSISTENCY
            self.scale = np.maximum(self.scale * np.sqrt(square), self.least_scale)
            inner = ((np.abs(away) < _HUBER) * here).sum(axis=1)
            self.centre = self.centre + self.scale * clipped.sum(axis=1) / np.maximum(inner, 1)

    def _correlate(self, away: Floats, here: Floats) -> None:
        """Update correlations of neighbours: the median of the group, or more where a series surely
        has more."""
        count = np.maximum(here.sum(axis=1), LEAST)
        inner = np.clip(away, -_HUBER, _HUBER)
        raw = (inner[:, 1:] * inner[:, :-1]).sum(axis=1) / np.maximum((inner**2).sum(axis=1), 1e-12)
        raw = raw + (1 + 3 * np.clip(raw, 0, 1)) / count  # Kendall 1954: it is biased downwards
        ordered = raw[np.lexsort((raw, self.group))]
        shared = ordered[np.cumsum(self.sizes) - self.sizes + self.sizes // 2][self.group]
        high = np.maximum(shared, raw - 1 / np.sqrt(count))
        self.correlation = np.clip(high, 0, _MOST_CORRELATED)
        independent = (1 - self.correlation) / (1 + self.correlation)
        self.freedom = np.maximum(0.8 * (count - 1) * independent, 3.0)

    def _price_outliers(self, away: Floats, here: Floats) -> None:
        """Update the logarithm by which limits rise with the outliers of a series' group."""
        beyond = np.bincount(self.group, (np.abs(away) >= CLIP).sum(axis=1))
        share = beyond / np.maximum(np.bincount(self.group, here.sum(axis=1)), 1)
        excess = np.maximum(share - USUAL_OUTLIERS, 0)
        self.price = np.log1p(OUTLIER_PRICE * excess)[self.group]

    def _compare(self, away: Floats, inside: Floats) -> None:
        self.lags = LAGS[: int(np.searchsorted(LAGS, away.shape[1]))]
        newest = self.lags - 1
        sums, counts = away[:, ::-1].cumsum(axis=1), inside[:, ::-1].cumsum(axis=1)
        count, older = counts[:, newest], counts[:, -1:] - counts[:, newest]
        usable = (count >= 1) & (older >= LEAST_OLD)
        new, old = np.maximum(count, 1), np.maximum(older, 1)
        move = sums[:, newest] / new - (sums[:, -1:] - sums[:, newest]) / old
        correlation = self.correlation[:, None]
        variance = inflate(correlation, new) / new + inflate(correlation, old) / old
        z = _to_normal(move / np.sqrt(variance), self.freedom[:, None])
        self.tests = _Tests(usable, count, older, move, variance, z)

    def evidence(self, sign: int, rows: Numbers) -> Floats:
        """Return the logarithm of each lag's weighted e-value of some series, (rows, lags)."""
        assert self.tests is not None
        found = log_evidence(sign * self.tests.z[rows], self.tests.variance[rows])
        found = found + np.log(WEIGHTS[: self.lags.size]) - self.price[rows, None]
        return np.where(self.tests.usable[rows], found, -np.inf)

    def decide(self, night: int, sign: int, limit: float) -> None:
        """Record the series whose evidence reaches the limit, and begin a new level in them."""
        assert self.tests is not None
        highest = np.maximum(sign * self.tests.z, 0).max(axis=1)
        most = highest**2 / 2 + np.log(2 * self.lags.size)  # log_evidence is below z²/2 + log 2
        rows = np.flatnonzero(most >= limit)
        evidence = self.evidence(sign, rows)
        best = evidence.argmax(axis=1)
        enough = self.tests.newer[rows, best] >= LEAST_NEW
        for row in np.flatnonzero(enough & (np.logaddexp.reduce(evidence, axis=1) >= limit)):
            series = int(rows[row])
            since = self._first(series, night, int(self.lags[best[row]]))
            new = self.x[series, since : night + 1][self.present[series, since : night + 1]]
            after = float(np.median(new))
            self.x[series, :since] += after - self.centre[series]
            self.centre[series], self.start[series] = after, since
            self.tests.usable[series] = False
            self.shifts.append(Shift(series, since, night, sign))

    def _first(self, series: int, night: int, lag: int) -> int:
        """Return the first present reading among the newest `lag`."""
        since = night + 1 - lag
        return since + int(self.present[series, since : night + 1].argmax())

    def finish(self, limits: Floats) -> Detection:
        """Return what was found."""
        found: list[Suspicion] = []
        for sign, limit in zip((1, -1), limits, strict=True):
            found += self._suspect(sign, float(limit)) if self.tests is not None else ()
        return Detection(
            tuple(self.shifts), tuple(found), self.scale, self.correlation, self.freedom
        )

    def _suspect(self, sign: int, limit: float) -> list[Suspicion]:
        night = self.x.shape[1] - 1
        evidence = self.evidence(sign, np.arange(len(self.x)))
        total = np.logaddexp.reduce(evidence, axis=1)
        near = (total >= limit - np.log(SUSPICION)) & self.present[:, night]
        found = []
        for series in np.flatnonzero(near):
            lag = int(evidence[series].argmax())
            since = self._first(int(series), night, int(self.lags[lag]))
            more = self._forecast(int(series), lag, sign, limit)
            found.append(Suspicion(int(series), since, sign, more))
        return found

    def _forecast(self, series: int, lag: int, sign: int, limit: float) -> int | None:
        """Return how many more readings at the present size decide a suspected shift."""
        assert self.tests is not None
        count = self.tests.newer[series, lag] + np.arange(1.0, FURTHEST + 1)
        correlation, older = self.correlation[series], self.tests.older[series, lag : lag + 1]
        variance = inflate(correlation, count) / count + inflate(correlation, older) / older
        move = self.tests.move[series, lag] / np.sqrt(variance)
        evidence = log_evidence(sign * _to_normal(move, self.freedom[series]), variance)
        decided = evidence - self.price[series] >= limit
        decided &= count >= LEAST_NEW
        return int(decided.argmax()) + 1 if decided.any() else None


def common_movement(values: Floats) -> Floats:
    """Return the movement (n,) that most of the series (c, n) share, NaN where absent.

    Every night it is the median over series of the distance to each one's level, which is the
    median of its latest readings without what was common. A night with fewer than half of the
    series repeats the movement of the night before; fewer than three series share nothing.
    """
    series, nights = values.shape
    common = np.zeros(nights)
    if series < 3:
        return common
    here = np.isfinite(values)
    own = np.full_like(values, np.nan)
    seen = np.full(series, -_EARLIER - 1)
    for night in range(nights):
        active = night - seen <= _EARLIER
        known = np.flatnonzero(active & here[:, night])
        if known.size >= max(3, active.sum() / 2):
            past = row_medians(own[known, max(0, night - _EARLIER) : night])
            common[night] = np.median(values[known, night] - past)
        elif night:
            common[night] = common[night - 1]
        own[:, night] = values[:, night] - common[night]
        seen[here[:, night]] = night
    return common


def level_interval(values: Floats, noise: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the level of values (n,), n ≥ 1, and its 95 % interval: their Hodges–Lehmann location.

    `noise` is the scale, the correlation of neighbours and the degrees of freedom of the whole
    series, so that few nights at a level have an interval too.
    """
    from scipy.special import stdtrit

    from harness.stats.location import middle

    scale, correlation, freedom = noise
    count = len(values)
    latest = values[-4 * WINDOW :]
    estimate = float(middle(latest))
    error = scale * float(np.sqrt(inflate(np.array(correlation), np.array(count)) / count))
    half = float(stdtrit(freedom, 0.975)) * error
    return estimate, estimate - half, estimate + half


def _to_normal(t: Floats, freedom: Floats) -> Floats:
    """Return the standard normal value of Student's t (Wallace 1959)."""
    size = np.sqrt(freedom * np.log1p(t * t / freedom))
    return np.asarray(np.sign(t) * size * (8 * freedom + 1) / (8 * freedom + 3))


def row_medians(values: Floats) -> Floats:
    """Return the median (s,) of values (s, n) that are not NaN; NaN without any."""
    ordered = np.sort(values, axis=1)  # NaN comes last
    count = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    lower = ordered[rows, np.maximum(count - 1, 0) // 2]
    return np.where(count > 0, (lower + ordered[rows, count // 2]) / 2, np.nan)


def _huber_consistency(clip: float) -> float:
    """Return E[min(|Z|, clip)²] of a standard normal Z."""
    from math import erf, exp, pi, sqrt

    inside = erf(clip / sqrt(2))
    return inside - 2 * clip * exp(-(clip**2) / 2) / sqrt(2 * pi) + clip**2 * (1 - inside)


_CONSISTENCY = _huber_consistency(_HUBER)
