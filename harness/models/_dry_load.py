"""Do the libraries find every tensor of a network in its files? Tried with names and shapes alone. Imports torch.

A network is built without weights and given tensors that take no memory, so that the libraries' own rules hold: old
names that they translate, tensors that they tie, and those that they know to be superfluous. Run as a program, it reads
a JSON list of `NetworkFiles` and writes one of `Misfit`.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.models._verify import Misfit, NetworkFiles, Shapes


def dry_load(network: NetworkFiles) -> Misfit:
    """Return what a network lacks in its files and what is too much there; `refused` where it cannot be built."""
    import diffusers
    import transformers

    library = {"diffusers": diffusers, "transformers": transformers}.get(network.library)
    made = getattr(library, network.kind, None)
    if made is None:
        return Misfit(refused=f"this version of {network.library} has no {network.kind}")
    try:
        with _silent(diffusers.utils.logging), _silent(transformers.utils.logging):
            if network.folder:
                return _try_original(network)
            return _try_diffusers(made, network) if network.library == "diffusers" else _try_transformers(made, network)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError, ArithmeticError) as error:
        return Misfit(
            refused=f"{network.kind} cannot be built: {str(error).splitlines()[0] if str(error) else error!r}"
        )


@contextmanager
def _silent(logging: Any) -> Iterator[None]:
    """Keep a library from reporting what it misses: the answer does."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _try_diffusers(made: Any, network: NetworkFiles) -> Misfit:
    import torch
    from accelerate import init_empty_weights

    with init_empty_weights():
        model = made.from_config(network.config)
    state = {name: torch.empty(shape, device="meta") for name, shape in network.tensors.items()}
    if not network.sharded:
        model._fix_state_dict_keys_on_load(state)
    ignored = model._keys_to_ignore_on_load_unexpected or ()
    return compare(
        {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()},
        {name: tuple(tensor.shape) for name, tensor in state.items()},
        tuple(ignored),
    )


def _try_original(network: NetworkFiles) -> Misfit:
    """Let diffusers translate the names of the authors, and look at what it would load; superfluous names are usual."""
    import torch
    from diffusers import pipelines
    from diffusers.loaders import single_file

    checkpoint = {name: torch.empty(shape, device="meta") for name, shape in network.tensors.items()}
    try:
        with _stopped_before_loading():
            single_file.load_single_file_sub_model(
                network.library, network.kind, network.name, checkpoint, pipelines, False, network.folder,
                local_files_only=True,
            )  # fmt: skip
    except _Translated as found:
        model, state = found.args
        expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        misfit = compare(expected, {name: tuple(tensor.shape) for name, tensor in state.items()})
        return misfit.model_copy(update={"unexpected": ()})
    return Misfit(refused=f"the file holds no {network.name} that diffusers knows")


@contextmanager
def _stopped_before_loading() -> Iterator[None]:
    from diffusers.loaders import single_file_model, single_file_utils

    def stop(model: Any, state: dict[str, Any], *_: Any, **__: Any) -> None:
        raise _Translated(model, state)

    load = single_file_model.load_model_dict_into_meta
    single_file_model.load_model_dict_into_meta = single_file_utils.load_model_dict_into_meta = stop
    try:
        yield
    finally:
        single_file_model.load_model_dict_into_meta = single_file_utils.load_model_dict_into_meta = load


class _Translated(Exception):
    """Carries a network without weights and the tensors that would be put into it."""


def compare(expected: Shapes, found: Shapes, ignored: tuple[str, ...] = ()) -> Misfit:
    """Return how the tensors found differ from those expected; superfluous names that fit `ignored` do not count."""
    extra = sorted(found.keys() - expected.keys())
    return Misfit(
        missing=tuple(sorted(expected.keys() - found.keys())),
        unexpected=tuple(name for name in extra if not any(re.search(pattern, name) for pattern in ignored)),
        shapes=tuple(
            (name, found[name], shape) for name, shape in sorted(expected.items()) if found.get(name, shape) != shape
        ),
    )


def _try_transformers(made: Any, network: NetworkFiles) -> Misfit:
    import torch

    one = torch.zeros(())
    state = {name: one.expand(shape) for name, shape in network.tensors.items()}
    _, info = made.from_pretrained(
        None,
        config=made.config_class(**network.config),
        state_dict=state,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        dtype=torch.float32,
    )
    shapes = tuple((name, tuple(found), tuple(expected)) for name, found, expected in info["mismatched_keys"])
    return Misfit(
        missing=tuple(sorted(info["missing_keys"])), unexpected=tuple(sorted(info["unexpected_keys"])), shapes=shapes
    )


if __name__ == "__main__":
    networks = [NetworkFiles.model_validate(entry) for entry in json.load(sys.stdin)]
    print(json.dumps([dry_load(network).model_dump() for network in networks]))
