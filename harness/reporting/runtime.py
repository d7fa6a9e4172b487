"""The Vega runtime that a page carries inside, so that it needs no network."""

import contextlib
import json
from pathlib import Path
from typing import Any


def _cache_file() -> Path:
    import platformdirs
    import vl_convert

    return Path(platformdirs.user_cache_dir("harness")) / f"vega-{vl_convert.__version__}.js"


def vega_runtime() -> str:
    """Return JavaScript that defines `window.vega`; bundling takes a second, so it is cached per user."""
    import vl_convert

    file = _cache_file()
    with contextlib.suppress(OSError):
        cached = file.read_text()
        if cached.endswith(_END):
            return cached
    script = vl_convert.javascript_bundle("window.vega = vega;").replace("</script", r"<\/script") + _END
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script)
    return script


def compile_chart(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the Vega form of a Vega-Lite chart, so that the page needs only the Vega runtime."""
    import vl_convert

    compiled = vl_convert.vegalite_to_vega(spec)
    return json.loads(compiled) if isinstance(compiled, str) else dict(compiled)


_END = "\n/* end of the Vega runtime */\n"
