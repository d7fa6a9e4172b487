"""Names of the damages whose notice a policy may demand."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from harness.core.base import Frozen

PictureDamage = Literal[
    "blur", "scaling", "jpeg", "noise", "sharpening", "contrast", "brightness", "saturation", "hue", "banding",
]  # fmt: skip
"""Every picture of a set is damaged."""
SetDamage = Literal["wrong-prompt", "collapse", "some-damaged"]
"""Some pictures of a set are replaced or damaged."""
FAMILIES: tuple[str, ...] = (*get_args(PictureDamage), *get_args(SetDamage))
MOST_LEVEL = 5
LADDER_IMAGES = 256
"""The damage ladder is scored on the first prompts, up to this many images."""


class Sees(Frozen):
    """A demand on the metrics that judge: they must fail the baseline's pictures with this damage at this level.

    Levels are KADID-10k's: 1 hardly visible, 3 slightly annoying, 5 very annoying; 0 is below what most people notice.
    """

    damage: Annotated[
        PictureDamage | SetDamage | Literal["every"],
        Field(description="a family of damage, or every: all that no other entry names"),
    ]
    level: Annotated[int, Field(ge=0, le=MOST_LEVEL)]
