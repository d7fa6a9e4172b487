"""Decisions before and between measurements: cells, conflicts, order, interim analyses, prompts."""

from harness.planning.availability import note_cut, note_downloads
from harness.planning.identity import file_differences, plan_differences, shorten, with_rules
from harness.planning.interim_analyses import plan_interim_analyses, prompts_wanted
from harness.planning.plan import PlanContext, list_missing_files, make_plan
from harness.planning.power import Power, forecast_power

__all__ = [
    "Power", "PlanContext", "plan_interim_analyses", "file_differences", "forecast_power",
    "list_missing_files", "make_plan", "note_cut", "note_downloads", "plan_differences",
    "prompts_wanted", "shorten", "with_rules",
]  # fmt: skip
