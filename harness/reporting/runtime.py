"""The Vega runtime that a page carries inside, so that it needs no network."""

import contextlib
from importlib.metadata import version
from pathlib import Path

from harness.store.caches import find_cache


def _cache_file() -> Path:
    return find_cache().folder / f"vega-embed-{version('vl-convert-python')}.js"


def vega_runtime() -> str:
    """Return JavaScript that defines `window.vegaEmbed`; bundling takes seconds, so it is cached per user."""
    import vl_convert

    file = _cache_file()
    with contextlib.suppress(OSError):
        cached = file.read_text(encoding="utf-8")
        if cached.endswith(_END):
            return cached
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", r"<\/script") + _END
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script, encoding="utf-8")
    return script


_END = "\n/* end of the Vega runtime */\n"
