"""Tiny text encoders, VAEs and denoisers, with all that values act on: convolutions, attention, blocks."""

from typing import Any

from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    T5Config,
    T5EncoderModel,
)

from tests.tiny.tokenizers import LENGTH, clip, gemma, t5

WIDTH = 32
UNET: dict[str, Any] = {
    "sample_size": 8, "in_channels": 4, "out_channels": 4, "block_out_channels": (32, 64), "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4, "norm_num_groups": 8,
}  # fmt: skip
"""Denoiser of 8×8 latents: 32×32 pixels with the VAE below (f = 4)."""


def clip_text(projection: bool, width: int = WIDTH) -> CLIPTextModel | CLIPTextModelWithProjection:
    tokenizer = clip()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, projection_dim=width, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=LENGTH, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def t5_text(width: int = WIDTH) -> T5EncoderModel:
    config = T5Config(vocab_size=len(t5()), d_model=width, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return T5EncoderModel(config)


def gemma_text() -> Gemma2Model:
    config = Gemma2Config(
        vocab_size=len(gemma()), hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    return Gemma2Model(config)


def vae(channels: int = 4) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=channels, norm_num_groups=4, sample_size=32,
        shift_factor=0.1, layers_per_block=1,
    )  # fmt: skip


def deep_vae() -> AutoencoderDC:
    return AutoencoderDC(
        latent_channels=8, attention_head_dim=4, encoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 16, 16),
        decoder_block_out_channels=(8, 16, 16), encoder_layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
        encoder_qkv_multiscales=((), (), (5,)), decoder_qkv_multiscales=((), (), (5,)),
    )  # fmt: skip


def sd_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(**UNET, cross_attention_dim=WIDTH)


def sdxl_unet(second: int = WIDTH) -> UNet2DConditionModel:
    """Return the denoiser for a second text encoder of this width."""
    return UNet2DConditionModel(
        **UNET, cross_attention_dim=WIDTH + second, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + second, transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
    )  # fmt: skip


def sd3_transformer() -> SD3Transformer2DModel:
    return SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=3, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=2 * WIDTH, caption_projection_dim=WIDTH, pooled_projection_dim=2 * WIDTH, out_channels=4,
        pos_embed_max_size=32, qk_norm="rms_norm",
    )  # fmt: skip


def flux_transformer() -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=True, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip


def pixart_transformer() -> PixArtTransformer2DModel:
    return PixArtTransformer2DModel(
        sample_size=8, num_layers=3, patch_size=2, attention_head_dim=8, num_attention_heads=4, in_channels=4,
        cross_attention_dim=WIDTH, out_channels=8, caption_channels=WIDTH, use_additional_conditions=False,
    )  # fmt: skip


def sana_transformer() -> SanaTransformer2DModel:
    return SanaTransformer2DModel(
        in_channels=8, out_channels=8, num_layers=3, num_attention_heads=4, attention_head_dim=8,
        num_cross_attention_heads=4, cross_attention_head_dim=8, cross_attention_dim=WIDTH, caption_channels=WIDTH,
        sample_size=8,
    )  # fmt: skip
