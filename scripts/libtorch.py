#!/usr/bin/env python3
"""usage: scripts/libtorch.py PROGRAM [ARGUMENTS...]

Runs a program of this repository, built elsewhere, with the libtorch of this Python's torch. It has to be the torch that
scripts/requirements.txt names.
"""

import importlib.metadata
import importlib.util
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent


def environment():
    """The variables of a process that is to find this Python's libtorch, and this Python. Imports nothing of it: that takes seconds."""
    found = [*map(str, libraries()), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {"RUNNER_PYTHON": sys.executable, **os.environ, "LD_LIBRARY_PATH": ":".join(found)}


def libraries():
    """Where libtorch is, and NVIDIA's packages beside it."""
    wanted = re.search(r"^torch==([\d.]+)", (HERE / "requirements.txt").read_text(), re.MULTILINE).group(1)
    way_on = f"Run this with a Python that has it: set RUNNER_PYTHON to one, or install it: {sys.executable} -m pip install torch=={wanted}"
    try:
        found = importlib.metadata.version("torch")
        torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent
    except (importlib.metadata.PackageNotFoundError, AttributeError):
        fail(f"{sys.executable} has no torch; {wanted} is needed", way_on)
    if found.split("+")[0] != wanted:
        fail(f"the torch of {sys.executable} is {found}; {wanted} is needed", way_on)
    return [torch / "lib", *sorted(torch.parent.glob("nvidia/**/lib"))]


def fail(what, way_on):
    print(f"error: {what}\n  {way_on}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    os.execve(sys.argv[1], sys.argv[1:], environment())
