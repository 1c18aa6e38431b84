"""Images to measure with where there are no real ones."""

import random

RECORDS = {**{f"data_batch_{number}.bin": 10_000 for number in range(1, 6)}, "test_batch.bin": 10_000}


def random_images(folder):
    """Files in CIFAR-10's binary layout, with random pixels: the time of a step does not depend on them."""
    drawn = random.Random(0)
    (folder / "cifar-10-batches-bin").mkdir()
    for name, count in RECORDS.items():
        records = bytearray(drawn.randbytes(count * 3073))
        records[::3073] = bytes(k % 10 for k in range(count))
        (folder / "cifar-10-batches-bin" / name).write_bytes(records)
    return folder
