"""Libraries that the fork server imports for its workers; some of them ask CUDA for its devices."""

import logging

logging.disable(logging.WARNING)  # else import warnings of packages precede every run

import torch  # noqa: E402, F401
from diffusers import (  # noqa: E402, F401
    FluxPipeline,
    PixArtSigmaPipeline,
    SanaPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from transformers import (  # noqa: E402, F401
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Model,
    T5EncoderModel,
)

import harness.models.families  # noqa: E402, F401

logging.disable(logging.NOTSET)
