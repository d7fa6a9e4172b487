"""Imported once by the fork server, so that every worker starts with these loaded; never touches CUDA."""

import torch  # noqa: F401
from diffusers import StableDiffusionXLPipeline  # noqa: F401
from transformers import CLIPTextModelWithProjection, CLIPTokenizer  # noqa: F401

import harness.models._sdxl  # noqa: F401
