#!/usr/bin/env python3
"""How quickly one core, or a GPU, multiplies float32 matrices and copies memory: what bounds every contender's step."""

import argparse
import time

import common
import torch

SIDE = 2048
COPIED_BYTES = 1 << 28
ROUNDS = 5


def best_seconds(work, device):
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    torch.set_num_threads(1)
    a, b, c = (torch.randn(SIDE, SIDE, device=device) for _ in range(3))
    source, target = (torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device) for _ in range(2))
    product = best_seconds(lambda: torch.mm(a, b, out=c), device)
    copy = best_seconds(lambda: target.copy_(source), device)
    common.say({"flops_per_second": 2 * SIDE ** 3 / product, "bytes_per_second": 2 * COPIED_BYTES / copy,
                "torch": torch.__version__})


if __name__ == "__main__":
    main()
