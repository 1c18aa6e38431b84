#!/usr/bin/env python3
"""A training loop over one resident tensor; several trials one after another, or spread over processes, one a core."""

import common
import torch
import torch.nn.functional as F
from common import parity


def train(config, images, args):
    """One trial -> its scores."""
    model = common.make_model(config, args)
    compiled = torch.compile(model) if args.compile else model
    optimizer = parity.make_optimizer(model, config)
    meter = common.Meter(args)

    def forward(x):
        return compiled(x.contiguous(memory_format=common.layout(args)))

    for _ in range(config["epochs"]):
        model.train()
        loss_sum = correct = 0
        for x, y in images.batches(config["batch_size"]):
            optimizer.zero_grad()
            with torch.autocast(x.device.type, torch.bfloat16, enabled=args.bf16):
                logits = forward(x)
            loss = F.cross_entropy(logits.float(), y)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(y)
            correct += (logits.argmax(1) == y).sum()
            meter.step(loss)
        model.eval()
        images.validate(forward)
    return images.scores(forward)


def share(images, args):
    """What a process of the pool starts with."""
    torch.set_num_threads(1)
    train_shared.rest = images, args


def train_shared(config):
    return train(config, *train_shared.rest)


def options():
    parser = common.arguments(__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16, by autocast")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    return parser


def main():
    args = common.parse(options())
    configs = common.configurations(args)
    images = common.Images(configs[0], args.data, args.device)
    if args.processes == 1:
        scores = [train(config, images, args) for config in configs]
    else:
        # Forked processes share torch and the images; with a GPU they cannot be forked and are given handles.
        way = "fork" if args.device == "cpu" else "spawn"
        with torch.multiprocessing.get_context(way).Pool(args.processes, share, (images, args)) as pool:
            scores = pool.map(train_shared, configs, chunksize=1)
    common.say({"scores": scores})


if __name__ == "__main__":
    main()
