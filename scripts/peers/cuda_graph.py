#!/usr/bin/env python3
"""The whole step, from the gather of the batch to the optimizer, captured once in a CUDA graph and replayed."""

import common
import torch
import torch.nn.functional as F
from common import parity

WARMUP_STEPS = 3


def main():
    args = common.parse(common.arguments(__doc__))
    config = common.configurations(args)[0]
    if config["optimizer"]["name"] != "sgd":
        config["optimizer"]["capturable"] = True    # its count of steps has to be on the GPU
    images = common.Images(config, args.data, args.device)
    model = common.make_model(config, args).train()
    optimizer = parity.make_optimizer(model, config)
    size = config["batch_size"]
    index = torch.zeros(size, dtype=torch.int64, device=args.device)
    loss_sum, correct = torch.zeros((), device=args.device), torch.zeros((), dtype=torch.int64, device=args.device)

    def step():
        x, y = next(images.chosen(index, size))
        optimizer.zero_grad(set_to_none=True)
        logits = model(x.contiguous(memory_format=common.layout(args)))
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        loss_sum.add_(loss.detach() * size)
        correct.add_((logits.argmax(1) == y).sum())
        return loss.detach()

    # Capture needs steps before it, on a stream of their own; they count as steps of training.
    order = images.train[common.dataloader_order(len(images.train)).to(args.device)]
    batches = iter(order.split(size))
    meter = common.Meter(args)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARMUP_STEPS):
            index.copy_(next(batches))
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    for batch in batches:
        if len(batch) == size:
            index.copy_(batch)
            graph.replay()
            meter.step(loss)


if __name__ == "__main__":
    main()
