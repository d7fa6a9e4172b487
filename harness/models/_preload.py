"""Imported once by the fork server, so that every worker starts with these loaded; asks CUDA what devices there are."""

import logging

logging.disable(logging.WARNING)  # else what installed packages say of one another stands above every run

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
