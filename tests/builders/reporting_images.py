"""Prompts of the shapes world and small images of what they say, drawn without a model."""

import io
import random

from PIL import Image, ImageDraw

from harness.core.plan import Prompt

COLOURS = {"red": (214, 58, 49), "blue": (44, 92, 200), "green": (47, 140, 78), "yellow": (235, 190, 40)}
GROUNDS = {"beige": (240, 228, 205), "gray": (190, 192, 196), "white": (250, 250, 250), "black": (28, 28, 32)}


def prompts(count: int) -> tuple[Prompt, ...]:
    """Return prompts of the shapes world; two of them are hostile to a careless template."""
    words = random.Random(7)
    texts = [
        f"a {words.choice(['small', 'large'])} {words.choice(list(COLOURS))} "
        f"{words.choice(['circle', 'square', 'triangle'])} on a {words.choice(list(GROUNDS))} background"
        for _ in range(count)
    ]
    texts[0] += ' <script>alert("no")</script> & more'
    if count > 2:
        texts[2] += " in the style of a very long prompt that goes on and on" * 6
    return tuple(Prompt(id=f"p{index:04d}", text=text) for index, text in enumerate(texts))


def draw(prompt: Prompt, seed: int, size: int, noise: int) -> bytes:
    """Return a PNG of what the prompt says, with pixel noise of the given strength."""
    dice = random.Random(f"{prompt.id}/{seed}")
    words = prompt.text.split()
    colour, ground = COLOURS[words[2]], GROUNDS[words[6]]
    image = Image.new("RGB", (size, size), ground)
    radius = size * (0.16 if words[1] == "small" else 0.3)
    x, y = (size * dice.uniform(0.35, 0.65) + dice.uniform(-noise, noise) * size / 400 for _ in "xy")
    box = (x - radius, y - radius, x + radius, y + radius)
    pen = ImageDraw.Draw(image)
    if words[3] == "circle":
        pen.ellipse(box, fill=colour)
    elif words[3] == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(x, box[1]), (box[2], box[3]), (box[0], box[3])], fill=colour)
    grain = Image.effect_noise((size, size), noise).convert("RGB")
    image = Image.blend(image, grain, min(noise / 120, 0.8)) if noise > 2 else image
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
