"""From a verdict to a decision: which measured cell to deploy, and what that costs."""

from harness.deployment.constraints import Constraints, parse_constraints
from harness.deployment.default_check import DefaultCheck, IngredientCheck
from harness.deployment.recommendation import (
    Nearest,
    Pick,
    Recommendation,
    SituationAnswer,
    recommend,
)

__all__ = [
    "Constraints",
    "DefaultCheck",
    "IngredientCheck",
    "Nearest",
    "Pick",
    "Recommendation",
    "SituationAnswer",
    "parse_constraints",
    "recommend",
]
