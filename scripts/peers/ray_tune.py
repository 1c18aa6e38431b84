#!/usr/bin/env python3
"""Ray Tune, one core a trial, with what makes it quick: actors used again, images in shared memory, no loggers."""

import os
import tempfile

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
import common  # noqa: E402
import ray  # noqa: E402
import resident  # noqa: E402
import torch  # noqa: E402
from ray import tune  # noqa: E402

TRIALS_A_GPU = 2


def trial(given, base, args, arrays):
    torch.set_num_threads(1)
    images = common.Images.__new__(common.Images)
    images.__dict__ = {name: torch.from_numpy(array).to(args.device) for name, array in arrays.items()}
    config = {**base, "optimizer": {**base["optimizer"], "lr": given["lr"]}}
    scores = resident.train(config, images, args)
    return {"test_loss": scores["test"]["loss"], "scores": scores}


def main():
    args = common.parse(resident.options())
    configs = common.configurations(args)
    images = common.Images(configs[0], args.data, "cpu")
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False, logging_level="error")
    # NumPy arrays, unlike tensors, are read in place from Ray's shared memory.
    arrays = {name: tensor.numpy() for name, tensor in vars(images).items()}
    trainable = tune.with_parameters(trial, base=configs[0], args=args, arrays=arrays)
    rates = [config["optimizer"]["lr"] for config in configs]
    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1, "gpu": 0 if args.device == "cpu" else 1 / TRIALS_A_GPU}),
            param_space={"lr": tune.grid_search(rates)},
            tune_config=tune.TuneConfig(metric="test_loss", mode="min", reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
    scores = {result.config["lr"]: result.metrics["scores"] for result in results}
    ray.shutdown()
    common.say({"scores": [scores[lr] for lr in rates]})


if __name__ == "__main__":
    main()
