#!/usr/bin/env python3
"""Writes CIFAR-10 images compressed by JPEG once more, to ask what one such pass costs a network.

usage: scripts/jpeg_again.py DATA OUT

Reads DATA/cifar-10-batches-bin and writes OUT/cifar-10-batches-bin, order and labels unchanged; prints the PSNR between the two.
JPEG of the same quality on the same grid of blocks would change almost nothing the second time, so each image is moved by half a
block. Needs the Python environment of scripts/setup --whole (NumPy and Pillow).
"""

import concurrent.futures
import io
import pathlib
import sys

import numpy
from benchmark.images import RECORDS
from PIL import Image

NAMES = "batches.meta.txt"
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE     # the label, then the red, green and blue planes
SHIFT = 4                        # pixels: half a block of JPEG
QUALITY = {"quality": 75, "subsampling": "4:2:0"}


def main():
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    source, target = (pathlib.Path(folder) / "cifar-10-batches-bin" for folder in sys.argv[1:])
    if target.exists():
        sys.exit(f"error: {target} is there already; name another OUT")
    with concurrent.futures.ProcessPoolExecutor() as workers:
        batches = list(workers.map(compress_batch, [source / name for name in RECORDS]))
    target.mkdir(parents=True)
    for name, (content, _) in zip(RECORDS, batches):
        (target / name).write_bytes(content)
    (target / NAMES).write_bytes((source / NAMES).read_bytes())
    squared_error = numpy.mean([error for _, error in batches])
    print(f"{target}: PSNR {10 * numpy.log10(255**2 / squared_error):.1f} dB against {source}")


def compress_batch(path):
    """The file's content with each image compressed, and the mean squared error of a pixel's channel."""
    content = path.read_bytes()
    if not content or len(content) % RECORD:
        sys.exit(f"error: {path}: {len(content)} bytes are no whole number of records of {RECORD}")
    records = numpy.frombuffer(content, numpy.uint8).reshape(-1, RECORD).copy()
    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    compressed = numpy.stack([compress(image) for image in images])
    squared_error = numpy.mean((compressed.astype(float) - images) ** 2)
    records[:, 1:] = compressed.transpose(0, 3, 1, 2).reshape(len(records), -1)
    return records.tobytes(), squared_error


def compress(image):
    """An image of [32, 32, 3] bytes after a JPEG whose blocks lie SHIFT pixels aside; its edges are repeated around it."""
    around = numpy.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    file = io.BytesIO()
    Image.fromarray(around).save(file, "JPEG", **QUALITY)
    return numpy.asarray(Image.open(file))[SHIFT:-SHIFT, SHIFT:-SHIFT]


if __name__ == "__main__":
    main()
