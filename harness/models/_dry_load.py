"""Load networks without memory to find missing, superfluous and misshapen tensors. Imports torch.

Networks and tensors live on the meta device, so that the libraries' own rules apply: translated
names, tied tensors, and names known to be superfluous. As a program, it reads a JSON list of
`NetworkFiles` and writes one of `Misfit`.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.models._network_files import Misfit, NetworkFiles, Shapes

_BUILD_ERRORS = (TypeError, ValueError, KeyError, AttributeError, RuntimeError, ArithmeticError)


def dry_load(network: NetworkFiles) -> Misfit:
    """Return the misfit of a network's files; `refused` if the network cannot be built."""
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
            if network.library == "diffusers":
                return _try_diffusers(made, network)
            return _try_transformers(made, network)
    except _BUILD_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        return Misfit(refused=f"{network.kind} cannot be built: {reason}")


@contextmanager
def _silent(logging: Any) -> Iterator[None]:
    """Silence a library about missing tensors, which the misfit reports."""
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
    return compare(_shapes(model.state_dict()), _shapes(state), tuple(ignored))


def _try_original(network: NetworkFiles) -> Misfit:
    """Compare with what diffusers would load after translation; superfluous names are fine."""
    import torch
    from diffusers import pipelines
    from diffusers.loaders import single_file

    state = {name: torch.empty(shape, device="meta") for name, shape in network.tensors.items()}
    which, where = (network.library, network.kind, network.name), network.folder
    try:
        with _stopped_before_loading():
            single_file.load_single_file_sub_model(
                *which, state, pipelines, False, where, local_files_only=True
            )
    except _Translated as found:
        model, state = found.args
        misfit = compare(_shapes(model.state_dict()), _shapes(state))
        return misfit.model_copy(update={"unexpected": ()})
    return Misfit(refused=f"the file has no {network.name} that diffusers knows")


@contextmanager
def _stopped_before_loading() -> Iterator[None]:
    from diffusers.loaders import single_file_model, single_file_utils

    def stop(model: Any, state: dict[str, Any], *_: Any, **__: Any) -> None:
        raise _Translated(model, state)

    load = single_file_model.load_model_dict_into_meta
    try:
        for module in (single_file_model, single_file_utils):
            module.load_model_dict_into_meta = stop
        yield
    finally:
        for module in (single_file_model, single_file_utils):
            module.load_model_dict_into_meta = load


class _Translated(Exception):
    """Carries a network without weights and the tensors that diffusers would load into it."""


def _shapes(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def compare(expected: Shapes, found: Shapes, ignored: tuple[str, ...] = ()) -> Misfit:
    """Return how the found tensors differ; superfluous names that match `ignored` are fine."""
    extra = sorted(found.keys() - expected.keys())
    unexpected = [name for name in extra if not any(re.search(each, name) for each in ignored)]
    common = sorted(expected.keys() & found.keys())
    shapes = ((k, found[k], expected[k]) for k in common if found[k] != expected[k])
    missing = sorted(expected.keys() - found.keys())
    return Misfit(missing=tuple(missing), unexpected=tuple(unexpected), shapes=tuple(shapes))


def _try_transformers(made: Any, network: NetworkFiles) -> Misfit:
    import torch

    one = torch.zeros(())
    state = {name: one.expand(shape) for name, shape in network.tensors.items()}
    options = {"output_loading_info": True, "ignore_mismatched_sizes": True, "dtype": torch.float32}
    config = made.config_class(**network.config)
    _, info = made.from_pretrained(None, config=config, state_dict=state, **options)
    missing, unexpected = (sorted(info[f"{kind}_keys"]) for kind in ("missing", "unexpected"))
    shapes = ((name, tuple(a), tuple(b)) for name, a, b in info["mismatched_keys"])
    return Misfit(missing=tuple(missing), unexpected=tuple(unexpected), shapes=tuple(shapes))


if __name__ == "__main__":
    networks = [NetworkFiles.model_validate(entry) for entry in json.load(sys.stdin)]
    print(json.dumps([dry_load(network).model_dump() for network in networks]))
