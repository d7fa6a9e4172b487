"""How a solver of noise prediction walks a flow (Lipman et al. 2023): σ from 1 to 0, velocity prediction."""

from typing import Any


def is_flow(config: Any) -> bool:
    """Return whether a scheduler's configuration is of flow matching."""
    return (
        bool(config.get("use_flow_sigmas")) or "shift" in config or config.get("prediction_type") == "flow_prediction"
    )


def flow_sigmas(config: Any) -> dict[str, Any]:
    """Return the options for a model trained with flow matching, with its own shift; none for others."""
    if not is_flow(config):
        return {}
    shift = config.get("flow_shift", config.get("shift", 1.0))
    return {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift}
