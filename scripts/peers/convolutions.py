#!/usr/bin/env python3
"""How long the convolutions of K networks side by side take on a GPU by each way to compute them, forward and backward.

One line a measurement: layer, K, precision, way, milliseconds, the kernel that took the longest.
"""

import argparse
import time

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

# name: channels of one network in and out, side of the images, kernel, padding, whether all networks see the same images
LAYERS = {
    "lenet5 conv1": (3, 6, 32, 5, 0, True),
    "lenet5 conv2": (6, 16, 14, 5, 0, False),
    "leaky_cnn 32-32": (32, 32, 32, 3, 1, False),
    "leaky_cnn 128-128": (128, 128, 8, 3, 1, False),
}
MOST_NUMBERS = 1 << 30      # of the windows of one layer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "bf16"])
    parser.add_argument("--seconds", type=float, default=60, help="no measurement begins later")
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    until = time.perf_counter() + args.seconds
    for members in args.members:
        for name, (channels, out, side, kernel, padding, shared) in LAYERS.items():
            if members * args.batch * channels * side * side * kernel * kernel > MOST_NUMBERS:
                continue
            for precision in args.precisions:
                for way in (channels_first, channels_last, windows):
                    if time.perf_counter() > until:
                        return
                    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
                    groups = 1 if shared else members
                    images = torch.randn(args.batch, groups * channels, side, side, device=args.device, requires_grad=not shared)
                    weight = torch.randn(members * out, channels, kernel, kernel, device=args.device, requires_grad=True)
                    milliseconds, longest = measure(way, images, weight, padding, groups, precision == "bf16")
                    print(f"| {name} | {members} | {precision} | {way.__name__} | {milliseconds:.3f} | {longest} |", flush=True)


def channels_first(images, weight, padding, groups):
    return F.conv2d(images, weight, padding=padding, groups=groups)


def channels_last(images, weight, padding, groups):
    layout = torch.channels_last
    return F.conv2d(images.contiguous(memory_format=layout), weight.contiguous(memory_format=layout), padding=padding, groups=groups)


def windows(images, weight, padding, groups):
    """One batched matrix product of all windows."""
    out, channels, kernel, _ = weight.shape
    found = F.pad(images, [padding] * 4).unfold(2, kernel, 1).unfold(3, kernel, 1)
    count, _, height, width, _, _ = found.shape
    found = found.reshape(count, groups, channels, height, width, kernel, kernel).permute(1, 2, 5, 6, 0, 3, 4)
    columns = found.reshape(groups, channels * kernel * kernel, -1)
    output = torch.bmm(weight.reshape(groups, out // groups, -1), columns)
    return output.view(out, count, height, width).permute(1, 0, 2, 3)


def measure(way, images, weight, padding, groups, bfloat16):
    """-> the least milliseconds of some runs, the kernel that took the longest"""
    def run():
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            output = way(images, weight, padding, groups)
        output.sum().backward()
        synchronize(images)

    try:
        run()
        began = time.perf_counter()
        run()
        first = time.perf_counter() - began
        seconds = [first]
        for _ in range(5 if first < 0.02 else 0):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        return 1e3 * min(seconds), longest_kernel(run) if images.is_cuda else "-"
    except RuntimeError as error:
        return float("nan"), str(error).splitlines()[0][:60]


def longest_kernel(run):
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        run()
    kernels = sorted(profiled.key_averages(), key=lambda event: -event.device_time_total)
    return f"{kernels[0].key[:70]} {kernels[0].device_time_total / 1e3:.3f} ms" if kernels else "-"


def synchronize(tensor):
    if tensor.is_cuda:
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
