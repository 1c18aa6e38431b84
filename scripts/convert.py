#!/usr/bin/env python3
"""Turns a state dict that PyTorch saved into safetensors: convert.py IN.pt OUT.safetensors

IN.pt holds a state dict, or a dictionary with one under `state_dict`, `model_state_dict`, `model` or `net`. Only tensors are
read, never code (weights_only). What wrappers put before every name (`module.`, `_orig_mod.`, `model.`) is stripped, also from
an IN that is a safetensors file already.
"""

import argparse
import os
import pickle
import sys

PLACES = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.", "model.")      # of DataParallel, torch.compile and Lightning
PICKLES = (b"PK\x03\x04", b"\x80")                  # how torch.save begins, now and before version 1.6


def is_safetensors(path):
    """The length of a header that fits into the file, and the brace with which that begins."""
    with open(path, "rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= os.path.getsize(path) - 8


def read_pickle(path):
    import torch
    with open(path, "rb") as file:
        if not file.read(4).startswith(PICKLES):
            raise ValueError("neither a file that torch.save wrote nor a safetensors file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "allowed global" not in str(error):
            raise ValueError("not a file that torch.save wrote, or a damaged one") from None
        raise ValueError("not a plain state dict: it holds more than tensors, which could run code. "
                         "Save model.state_dict() instead of the model") from None
    except Exception:  # torch.load raises whatever its unpickler or unzipper stumbles over
        raise ValueError("not a file that torch.save wrote, or a damaged one") from None


def find_state_dict(loaded):
    """The state dict itself, or the one that a training script stored beside other things."""
    if not isinstance(loaded, dict):
        raise ValueError(f"holds an object of type {type(loaded).__name__}, not a state dict")
    places = [place for place in PLACES if isinstance(loaded.get(place), dict)]
    if len(places) > 1:
        raise ValueError(f"holds a dictionary under each of {', '.join(places)}; save the state dict that you want by itself")
    return loaded[places[0]] if places else loaded


def check(state):
    import torch
    if not state:
        raise ValueError("the state dict is empty")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"not a state dict: {name!r} is of type {type(value).__name__}, not a tensor")
    return state


def strip(state):
    """Without what is before every name, and what that was."""
    stripped = ""
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        stripped += prefix
    return state, stripped


def read(path):
    """The tensors in a file, and what was stripped from their names."""
    from safetensors.torch import load_file
    try:
        if not is_safetensors(path):
            return strip(check(find_state_dict(read_pickle(path))))
        state, stripped = strip(check(load_file(path)))
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    if not stripped:
        raise ValueError("is a safetensors file already; use it as it is")
    return state, stripped


def write(state, path):
    import torch
    from safetensors.torch import save_file
    # Views and tied tensors become tensors of their own, which is all the format knows.
    state = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    scratch = f"{path}.tmp"
    save_file(state, scratch)
    os.replace(scratch, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="IN.pt")
    parser.add_argument("target", metavar="OUT.safetensors")
    args = parser.parse_args()
    try:
        state, stripped = read(args.source)
    except ImportError as error:
        parser.exit(2, f"error: this Python has no {error.name}; take one with scripts/requirements.txt installed, "
                       "such as ~/.cache/runner/torch-2.11.0/bin/python, which scripts/setup --whole makes\n")
    except Exception as error:      # of a safetensors file, its reader's own
        print(f"{args.source}: {error}", file=sys.stderr)
        return 2
    try:
        write(state, args.target)
    except Exception as error:
        print(f"{args.target}: {error}", file=sys.stderr)
        return 2
    numbers = sum(tensor.numel() for tensor in state.values())
    print(f"{args.target}: {len(state)} tensors, {numbers:,} numbers" + (f", `{stripped}` stripped" if stripped else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
