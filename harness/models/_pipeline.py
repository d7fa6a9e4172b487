"""A diffusers pipeline as a text-to-image model: what all families share."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from harness.core.errors import UsageError
from harness.core.model import Arguments, Call, CallHook, Draw, ModelInfo
from harness.core.recipe import FamilyLines
from harness.models._folder import Folder

Keys = tuple[tuple[str, int], ...]
UNET_NOISE = (
    "shape = (pipe.unet.config.in_channels, height // scale, width // scale)",
    "return draw_latents(generators, shape)",
)
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")


class PipelineModel:
    """Base of all families: generates images from noise that depends on (prompt, seed) alone."""

    family: ClassVar[str]
    pipeline_class: ClassVar[str]
    image_pipeline_class: ClassVar[str | None] = None
    denoiser_name: ClassVar[str] = "transformer"
    encoders: ClassVar[tuple[str, ...]] = ENCODERS[:1]
    """Text encoders of the pipeline, each with a tokenizer."""
    sole_encoder: ClassVar[str] = ""
    """The only text encoder that is required if the denoiser reads no wider states."""
    embedding_names: ClassVar[tuple[str, ...]]
    """Arguments that `encode_prompt` returns; negative ones begin with `negative_`."""
    fixed_arguments: ClassVar[Arguments] = {}
    """Arguments of every call."""
    embedded_arguments: ClassVar[Arguments] = {}
    """Arguments of a call with embeddings instead of prompts."""
    fixed_load_arguments: ClassVar[Arguments] = {}
    text_lengths: ClassVar[Mapping[str, int]] = {}
    """Tokenizer → token limit of the pipeline, if it differs from the tokenizer's own."""
    recipe_noise: ClassVar[tuple[str, ...]] = (
        "shape = (pipe.transformer.config.in_channels, height // scale, width // scale)",
        "return draw_latents(generators, shape)",
    )
    """What `noise` does with `pipe`, `generators` and `scale`, in a file without harness."""
    recipe_encode: ClassVar[str] = (
        "pipe.encode_prompt(prompts, device=DEVICE, do_classifier_free_guidance=guided, **negative)"
    )
    """What `_encode` does with `prompts`, `guided` and `negative`, in a file without harness."""
    true_guidance: ClassVar[bool] = True
    """Whether guidance takes a second pass; False if it is an input or not supported."""

    def __init__(self, pipeline: Any, device: str, dtype: Any) -> None:
        self.pipeline, self.device, self.dtype = pipeline, device, dtype
        self.hooks: list[CallHook] = []
        self.draw: Draw = type(self).text_to_image
        self.loras: dict[str, Any] = {}
        self.latent: Any = None

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        """Return the facts in a folder's configurations; title, folder and digest stay empty."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Folder, device: str, options: dict[str, Any]) -> Self:
        """Load a folder in diffusers' layout; see `ModelSource.load` for the options."""
        import diffusers
        import torch

        dtype = getattr(torch, options.get("dtype", "float32"))
        arguments = {**cls.fixed_load_arguments, **options.get("arguments", {})}
        with folder.loadable() as place:
            pipeline = getattr(diffusers, cls.pipeline_class).from_pretrained(
                str(place), dtype=dtype, local_files_only=True, **arguments
            )
        pipeline.set_progress_bar_config(disable=True)
        return cls(pipeline.to(options.get("place", device)), device, dtype)

    @property
    def denoiser(self) -> Any:
        return getattr(self.pipeline, self.denoiser_name)

    @denoiser.setter
    def denoiser(self, module: Any) -> None:
        setattr(self.pipeline, self.denoiser_name, module)

    @property
    def vae(self) -> Any:
        return self.pipeline.vae

    @vae.setter
    def vae(self, module: Any) -> None:
        self.pipeline.vae = module

    @property
    def text_encoders(self) -> dict[str, Any]:
        found = {name: getattr(self.pipeline, name, None) for name in ENCODERS}
        return {name: module for name, module in found.items() if module is not None}

    def generate(self, call: Call) -> Any:
        """Return float32 images in [0, 1] of shape (n, height, width, 3)."""
        try:
            return self.draw(self, call)
        except Exception:
            # As diffusers does after a pass: state of its hooks must not leak into the next call.
            self.pipeline.maybe_free_model_hooks()
            raise

    def text_to_image(self, call: Call) -> Any:
        """Return images of shape (n, height, width, 3) from one pass, starting from noise."""
        arguments = self._arguments(call)
        noise = self.noise(call.keys, call.width, call.height, arguments["generator"])
        arguments["latents"] = noise.to(self.device, self.dtype)
        return self.pipeline(**self._hooked(call, arguments)).images

    def image_to_image(self, call: Call, images: Any, strength: float) -> Any:
        """Return images redrawn from `strength` of the noise (SDEdit, Meng 2021)."""
        if self.image_pipeline_class is None:
            raise UsageError(f"{self.pipeline_class} has no image-to-image form", "model")
        import torch

        sources = torch.as_tensor(images).permute(0, 3, 1, 2)
        sources = torch.nn.functional.interpolate(
            sources, size=(call.height, call.width), mode="bicubic", antialias=True
        ).clamp(0, 1)
        added = {"image": sources.to(self.device, self.dtype), "strength": strength}
        arguments = self._hooked(call, {**self._arguments(call), **added})
        return self._image_pipeline()(**arguments).images

    def encode(
        self, prompts: tuple[str, ...], guided: bool, negatives: tuple[str, ...] = ()
    ) -> Arguments:
        """Return the pipeline's arguments for prompts: tensors with one row per prompt."""
        import torch

        negated = bool(negatives) and guided and self.true_guidance
        negative = {"negative_prompt": list(negatives)} if negated else {}
        with torch.no_grad():
            tensors = self._encode(list(prompts), guided, negative)
        named = zip(self.embedding_names, tensors, strict=True)
        return {k: tensor for k, tensor in named if guided or not k.startswith("negative_")}

    def embedded(self, arguments: Arguments, embeddings: Arguments) -> Arguments:
        """Return the arguments of a call with embeddings instead of prompts."""
        kept = {k: v for k, v in arguments.items() if k not in ("prompt", "negative_prompt")}
        return {**kept, **self.embedded_arguments, **embeddings}

    def _encode(self, prompts: list[str], guided: bool, negative: Arguments) -> tuple[Any, ...]:
        options = {"device": self.device, "do_classifier_free_guidance": guided, **negative}
        return tuple(self.pipeline.encode_prompt(prompts, **options))

    def noise(self, keys: Keys, width: int, height: int, sources: list[Any] | None = None) -> Any:
        """Return float32 noise of shape (n, channels, height / f, width / f), drawn on the CPU.

        `sources` are the generators of the keys, for a caller that draws more from them afterwards.
        """
        scale = self.pipeline.vae_scale_factor
        shape = (self.denoiser.config.in_channels, height // scale, width // scale)
        return draw_latents(sources or make_generators(keys), shape, self.latent)

    @classmethod
    def recipe(cls) -> FamilyLines:
        """Return what a file without harness needs to load and call a pipeline of this family."""
        return FamilyLines(
            pipeline=cls.pipeline_class,
            image_pipeline=cls.image_pipeline_class or "",
            denoiser=cls.denoiser_name,
            noise=cls.recipe_noise,
            load={name: repr(value) for name, value in cls.fixed_load_arguments.items()},
            call={name: repr(value) for name, value in cls.fixed_arguments.items()},
            encoders=cls.encoders,
            encode=cls.recipe_encode,
            embedding_names=cls.embedding_names,
            embedded={name: repr(value) for name, value in cls.embedded_arguments.items()},
            negatives=cls.true_guidance,
        )

    def _hooked(self, call: Call, arguments: Arguments) -> Arguments:
        for hook in self.hooks:
            arguments = hook(self, call, arguments)
        return arguments

    def _arguments(self, call: Call) -> Arguments:
        negated = call.negatives and call.guidance > 1 and self.true_guidance
        return {
            **({"negative_prompt": list(call.negatives)} if negated else {}),
            "prompt": list(call.prompts),
            "generator": make_generators(call.keys),
            "num_inference_steps": call.steps,
            "guidance_scale": call.guidance,
            "height": call.height,
            "width": call.width,
            "output_type": "np",
            **self.fixed_arguments,
        }

    def _image_pipeline(self) -> Any:
        """The image-to-image pipeline with the current components."""
        import diffusers

        settings = {k: v for k, v in self.pipeline.config.items() if isinstance(v, bool)}
        made_class = getattr(diffusers, str(self.image_pipeline_class))
        made = made_class(**self.pipeline.components, **settings)
        made.set_progress_bar_config(disable=True)
        return made

    def twin(self) -> Self:
        """Return a model for another thread: shared weights, copied scheduler and tokenizers.

        These keep state: a tokenizer shared by two threads may pad one text to the other's length.
        """
        pipeline = copy.copy(self.pipeline)
        for name, part in self.pipeline.components.items():
            if name == "scheduler" or name.startswith("tokenizer"):
                setattr(pipeline, name, copy.deepcopy(part))
        twin = copy.copy(self)
        twin.pipeline = pipeline
        return twin

    def parts(self) -> dict[str, Any]:
        """Return stage → module called in it; of the VAE, only the decoder is called."""
        return {**self.text_encoders, "denoiser": self.denoiser, "vae": self.vae.decoder}

    def weights_bytes(self) -> dict[str, int]:
        """Return the bytes of each component's parameters and buffers, quantized ones as packed.

        A replacement of a component, such as an engine, has its own size in `engine_bytes`.
        """
        import torch

        sizes = {}
        for name, part in self.pipeline.components.items():
            if isinstance(part, torch.nn.Module):
                own = sum(_bytes(tensor) for tensor in [*part.parameters(), *part.buffers()])
                sizes[name] = own + getattr(part, "engine_bytes", 0)
        return sizes


def _bytes(tensor: Any) -> int:
    """Quantized tensors consist of inner tensors, or keep their scales in an attribute."""
    scales = getattr(getattr(tensor, "quant_state", None), "absmax", None)
    if scales is not None:
        return int(tensor.nbytes + scales.nbytes)
    if not hasattr(tensor, "__tensor_flatten__"):
        return int(tensor.nbytes)
    names, _ = tensor.__tensor_flatten__()
    return sum(_bytes(getattr(tensor, name)) for name in names)


def derive_seed(prompt_id: str, seed: int) -> int:
    """Return a 63-bit seed from a stable hash of the pairing key."""
    digest = hashlib.sha256(f"{prompt_id}\0{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_generators(keys: Sequence[tuple[str, int]]) -> list[Any]:
    """Return one CPU generator per image, so that an image does not depend on its batch."""
    import torch

    return [torch.Generator("cpu").manual_seed(derive_seed(*key)) for key in keys]


def draw_latents(sources: Sequence[Any], shape: tuple[int, int, int], fixed: Any = None) -> Any:
    """Return float32 normal noise of shape (n, *shape), from a CPU generator per image.

    Or `fixed` for every image; UsageError if it has another shape.
    """
    import torch

    if fixed is None:
        return torch.stack([torch.randn(shape, generator=source) for source in sources])
    if tuple(fixed.shape) != shape:
        what = f"its shape is {tuple(fixed.shape)}, images of this size start from {shape}"
        raise UsageError(what, "prompts.latent", "Use the resolution of the latent.")
    return torch.as_tensor(fixed, dtype=torch.float32).expand(len(sources), *shape).clone()


class MaskedTextModel(PipelineModel):
    """Base of PixArt and Sana, whose prompt embeddings have a mask."""

    embedding_names: ClassVar = (
        "prompt_embeds", "prompt_attention_mask",
        "negative_prompt_embeds", "negative_prompt_attention_mask",
    )  # fmt: skip
    # The matrix sets the size; caption cleaning depends on installed packages.
    fixed_arguments: ClassVar = {"use_resolution_binning": False, "clean_caption": False}
    embedded_arguments: ClassVar = {"negative_prompt": None}
