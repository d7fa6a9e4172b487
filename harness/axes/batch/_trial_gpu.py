"""Try a batch size on a GPU, which says itself when it is out of memory."""

from harness.axes.batch._one_step import one_step
from harness.core.model import Call, TextToImage


class GpuTrial:
    """A batch fits if the card does not run out of memory."""

    def __init__(self, model: TextToImage, call: Call) -> None:
        self.model, self.call = model, call
        self.peaks: dict[int, int] = {}
        self.count, self.reason = 0, "out of memory"

    def fits(self, images: int) -> bool:
        """Return whether one step of this many images runs."""
        import torch

        self.count += 1
        torch.cuda.reset_peak_memory_stats()
        try:
            self.model.generate(one_step(self.call, images))
        except torch.OutOfMemoryError:
            fits = False
        else:
            self.peaks[images] = torch.cuda.max_memory_allocated()
            fits = True
        torch.cuda.empty_cache()
        return fits
