"""Libraries that the fork server imports where there is a GPU: all that ask CUDA for no devices.

A process that was forked after CUDA's first call cannot use CUDA. torchao and bitsandbytes make
such calls while they are imported, so diffusers must not find them; `torch.cuda.is_available` makes
one unless it may ask NVML. Cells that need the two start from a bare process (see launchers).
"""

import os
import sys

from harness.models import QUANTIZERS

NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"

_before = os.environ.get(NVML_CHECK)
os.environ[NVML_CHECK] = "1"
for _name in QUANTIZERS:
    sys.modules[_name] = None  # type: ignore[assignment]
try:
    import harness.models._preload  # noqa: F401
finally:
    for _name in QUANTIZERS:
        del sys.modules[_name]
    if _before is None:
        del os.environ[NVML_CHECK]
    else:
        os.environ[NVML_CHECK] = _before
