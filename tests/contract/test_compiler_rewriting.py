"""Graphs that torch takes and ONNX or TensorRT does not are rewritten, and compute the same."""

from pathlib import Path

import onnx
import pytest
import torch

from harness.axes.compiler._onnx import FILE, Session, rewrite, simplify


class Split(torch.nn.Module):
    """FLUX: text of a known length before an image of any."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        text, image = torch.split(given, [3, given.shape[1] - 3], dim=1)
        return 2 * image + text.sum()


class Join(torch.nn.Module):
    """SDXL in FP16: an embedding of the text beside one of the time, which is FP32."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return torch.concat([given.half(), given], dim=1)


class Squeeze(torch.nn.Module):
    """PixArt."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given.squeeze(0) + 1


@pytest.mark.parametrize("module", [Split(), Join(), Squeeze()], ids=lambda module: type(module).__name__.lower())
def test_rewritten_graph_computes_the_same(module: torch.nn.Module, tmp_path: Path) -> None:
    free = ({0: torch.export.Dim.STATIC, 1: torch.export.Dim.DYNAMIC},)
    traced = torch.export.export(module, (torch.randn(2, 7),), dynamic_shapes=free)
    rewrite(traced)
    names = {"input_names": ["x"], "output_names": ["output"]}
    program = torch.onnx.export(traced, opset_version=20, optimize=False, verbose=False, **names)  # type: ignore[arg-type]
    simplify(program.model)
    program.save(tmp_path / FILE)
    graph = onnx.load(tmp_path / FILE)
    onnx.checker.check_model(graph, full_check=True)
    assert not any("Sequence" in node.op_type for node in graph.graph.node)
    given = torch.randn(2, 11)
    assert torch.allclose(Session(tmp_path / FILE, "cpu").run({"x": given}), module(given))
