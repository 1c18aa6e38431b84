#!/usr/bin/env python3
"""torchvision's flip, rotation and shift of each image on its own, on PIL images or on tensors, then stacked to a batch."""

import common
import torch
from common import parity
from PIL import Image
from torchvision.transforms import InterpolationMode, v2


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--on", choices=["pil", "tensor"], required=True)
    args = common.parse(parser)
    config = common.configurations(args)[0]
    wanted = config["augment"]
    moves = [v2.RandomHorizontalFlip(),
             v2.RandomAffine(wanted["rotation"], translate=(wanted["shift"],) * 2, interpolation=InterpolationMode.BILINEAR)]
    train = parity.make_splits(config, args.data)[0]
    pixels = train.dataset.pixels
    if args.on == "pil":
        arrays = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        transform = v2.Compose([Image.fromarray, *moves, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    else:
        arrays = pixels
        transform = v2.Compose([*moves, v2.ToDtype(torch.float32, scale=True)])

    torch.manual_seed(common.SEED)
    meter = common.Meter(args)
    order = torch.tensor(train.indices)
    while True:
        for index in order[torch.randperm(len(order))].split(config["batch_size"]):
            torch.stack([transform(arrays[i]) for i in index.tolist()])
            meter.step()


if __name__ == "__main__":
    main()
