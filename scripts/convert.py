#!/usr/bin/env python3
"""Turns a state dict that PyTorch saved into safetensors: convert.py IN.pt OUT.safetensors

IN.pt holds a state dict, or a dictionary with one under `state_dict`. Only tensors are read, never code (weights_only).
"""

import argparse
import os
import pickle
import sys

import torch
from safetensors.torch import save_file


def read_state_dict(path):
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except pickle.UnpicklingError:
        raise ValueError("not a plain state dict: it holds more than tensors, which could run code. "
                         "Save model.state_dict() instead of the model") from None
    except Exception:  # torch.load raises whatever its unpickler or unzipper stumbles over
        raise ValueError("not a file that torch.save wrote, or a damaged one") from None

    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise ValueError(f"holds an object of type {type(loaded).__name__}, not a state dict")
    if not loaded:
        raise ValueError("the state dict is empty")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"not a state dict: {name!r} is of type {type(value).__name__}, not a tensor")
    return loaded


def main():
    parser = argparse.ArgumentParser(description="Turn a .pt state dict into safetensors.")
    parser.add_argument("source", metavar="IN.pt")
    parser.add_argument("target", metavar="OUT.safetensors")
    args = parser.parse_args()
    try:
        state = read_state_dict(args.source)
    except ValueError as error:
        print(f"{args.source}: {error}", file=sys.stderr)
        return 2

    # Views and tied tensors become tensors of their own, which is all the format knows.
    state = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    scratch = f"{args.target}.tmp"
    try:
        save_file(state, scratch)
        os.replace(scratch, args.target)
    except Exception as error:
        print(f"{args.target}: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: {len(state)} tensors, {sum(tensor.numel() for tensor in state.values()):,} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
