"""What is decided before any time is spent: settings, conflicts, order, looks; and who is owed more images."""

from harness.planning.identity import file_differences, plan_differences, shorten, with_rules
from harness.planning.lacking import note_downloads
from harness.planning.looks import decide_looks
from harness.planning.plan import Surroundings, lacking_files, make_plan
from harness.planning.power import Power, forecast_power
from harness.planning.prompted import note_cut
from harness.planning.rounds import prompts_wanted

__all__ = [
    "Power", "Surroundings", "decide_looks", "file_differences", "forecast_power", "lacking_files", "make_plan",
    "note_cut", "note_downloads", "plan_differences", "prompts_wanted", "shorten", "with_rules",
]  # fmt: skip
