"""Decisions before and between measurements: cells, conflicts, order, interim analyses, prompts."""

from harness.planning.availability import list_truncation_notes, note_downloads
from harness.planning.estimate import guess_rate
from harness.planning.identity import (
    adopt_rules,
    list_file_differences,
    list_plan_differences,
    shorten,
)
from harness.planning.interim_analyses import choose_prompt_counts, plan_interim_analyses
from harness.planning.plan import PlanContext, list_missing_files, make_plan
from harness.planning.power import Power, forecast_power

__all__ = [
    "PlanContext", "Power", "adopt_rules", "choose_prompt_counts", "forecast_power", "guess_rate",
    "list_file_differences", "list_missing_files", "list_plan_differences", "list_truncation_notes",
    "make_plan", "note_downloads", "plan_interim_analyses", "shorten",
]  # fmt: skip
