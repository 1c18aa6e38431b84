"""What is compared, and how each comparison is measured. Every function yields rows."""

import concurrent.futures
import csv
import json
import pathlib
import shutil
import statistics
import subprocess
import time

from benchmark.contenders import Contender, Failed, Row, end, run, seconds_until, start

PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
SGD = {"name": "sgd", "lr": 0.01, "momentum": 0.9}
ADAM = {"name": "adam", "lr": 0.001}
OPTIMIZERS = {"lenet5": SGD, "lenet5_dropout": SGD, "keras_cnn": ADAM, "leaky_cnn": ADAM, "resnet": ADAM}
# (warm-up, measured) steps of a round, about half a second each on one core
ROUND_STEPS = {
    ("lenet5", 4): (20, 200), ("lenet5", 64): (4, 40), ("lenet5", 512): (1, 6),
    ("lenet5_dropout", 4): (20, 200), ("lenet5_dropout", 64): (4, 40), ("lenet5_dropout", 512): (1, 6),
    ("keras_cnn", 64): (1, 6), ("keras_cnn", 512): (1, 1), ("leaky_cnn", 64): (2, 10), ("leaky_cnn", 512): (1, 2),
    ("resnet", 64): (1, 1),
}
TOGETHER = 8    # trials computed at once where some contender can
VAL = 64        # validation images: a round must fit into an epoch, sweeps validate little
AUGMENT = {"flip": True, "rotation": 15, "shift": 0.1}
MEMORY_POLL_SECONDS = 0.2
SHARED_SET_BYTES = 100e6    # so much shared memory that belongs to no library holds the images

TUNED = ["--channels-last", "--fused"]


class Bench:
    """Where everything is, and how much of it is run."""

    def __init__(self, runner, steps, python, data, device, quick, folder, cores):
        self.runner, self.steps, self.python, self.data, self.device = runner, steps, python, data, device
        self.quick, self.folder, self.cores = quick, folder, cores
        self.rounds, self.repeats = (1, 1) if quick else (4, 3)

    # ---- Commands

    def experiment(self, name, model, batch, trials=1, epochs=1, **data):
        """Writes an experiment; `trials` of them differ in their learning rate."""
        name, optimizer = name.replace(" ", "_").lower(), OPTIMIZERS[model]
        document = {"schema": 1, "name": name, "data": {"dataset": "cifar10", "val": VAL, **data}, "seeds": [0],
                    "base": {"model": model, "epochs": epochs, "batch_size": batch, "optimizer": optimizer}}
        if trials > 1:
            rates = [round(optimizer["lr"] * (1 + 0.02 * k), 6) for k in range(1, trials)]
            document["blocks"] = [{"id": "rates", "axes": {"optimizer.lr": rates}}]
        return self.write(name, document)

    def write(self, name, document):
        """Beside it, its trials as `runner` resolves them, for the peers."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(document))
        with open(path.with_suffix(".jsonl"), "w") as trials:
            subprocess.run([self.steps, path, "--resolve"], stdout=trials, check=True)
        return path

    def peer(self, script, experiment, *flags):
        return [self.python, PEERS / script, experiment.with_suffix(".jsonl"), "--data", self.data, "--device", self.device, *flags]

    def ours(self, work, experiment, *flags):
        return [self.steps, experiment, "--data", self.data, "--device", self.device, "--work", work, *flags]

    def program(self, command, mode, experiment, out, *flags):
        shutil.rmtree(out, ignore_errors=True)
        return [self.runner, command, experiment, "--out", out, "--data", self.data, "--device", self.device,
                "--mode", mode, "--no-progress", *flags]

    def log(self, name):
        return self.folder / f"{name.replace(' ', '_').replace(',', '')}.log"


# ---- Rounds of steps, in turns -----------------------------------------------------------------------------------------

def steps(bench, case, model, batch):
    """Milliseconds a step of every way of training one network, and of ways to train several at once."""
    warmup, count = (1, 3) if bench.quick else ROUND_STEPS[model, batch]
    rounds = ["--warmup", str(warmup), "--steps", str(count)]
    one = bench.experiment(case, model, batch)
    contenders = {
        "runner exact": bench.ours("exact", one, *rounds),
        "runner fast": bench.ours("fast", one, *rounds),
        "DataLoader, 0 workers": bench.peer("dataloader.py", one, *rounds),
        "DataLoader, 1 worker": bench.peer("dataloader.py", one, *rounds, "--workers", "1"),
        "DataLoader, 2 workers": bench.peer("dataloader.py", one, *rounds, "--workers", "2"),
        "resident tensor": bench.peer("resident.py", one, *rounds),
        "resident channels_last": bench.peer("resident.py", one, *rounds, *TUNED),
        "torch.compile": bench.peer("resident.py", one, *rounds, "--compile", "--fused"),
        "Lightning, plain": bench.peer("lightning_loop.py", one, *rounds),
        "Lightning, channels_last": bench.peer("lightning_loop.py", one, *rounds, *TUNED),
    }
    if batch >= 64:
        contenders["runner fast-bf16"] = bench.ours("fast-bf16", one, *rounds)
        contenders["resident bf16"] = bench.peer("resident.py", one, *rounds, *TUNED, "--bf16")
    if model == "lenet5" and batch < 512:
        several = bench.experiment(f"{case}_x{TOGETHER}", model, batch, trials=TOGETHER)
        contenders[f"runner fast x{TOGETHER}"] = bench.ours("fast", several, *rounds)
        contenders[f"vmap x{TOGETHER}, eager"] = bench.peer("vmap.py", several, *rounds)
        contenders[f"vmap x{TOGETHER}, compiled"] = bench.peer("vmap.py", several, *rounds, "--compile",
                                                                       "--channels-last")
    if bench.device != "cpu":
        contenders["CUDA graph"] = bench.peer("cuda_graph.py", one, *rounds)
        contenders["runner fast-tf32"] = bench.ours("fast-tf32", one, *rounds)
    for name, number, line in in_turns(bench, case, contenders):
        if isinstance(line, Failed):
            yield Row(case, name, number, "failed", "", str(line))
        elif "first_step_seconds" in line:
            yield Row(case, name, number, "first step, all started at once", line["first_step_seconds"], "s")
        else:
            model_steps = line["steps"] * line["members"]
            yield Row(case, name, number, "step", 1e3 * line["seconds"] / model_steps, "ms")
            yield Row(case, name, number, "processor time a step", 1e3 * line["cpu_seconds"] / model_steps, "ms")
            yield Row(case, name, number, "throughput", batch * model_steps / line["seconds"], "images/s")
            yield Row(case, name, number, f"loss at step {line['step']}", line["loss"], "")


def augmentation(bench, case):
    """Microseconds an image of resnet's augmentation."""
    batch, rounds = 64, ["--warmup", "2", "--steps", "3" if bench.quick else "20"]
    document = json.loads(bench.experiment(case, "resnet", batch).read_text())
    document["base"]["augment"] = AUGMENT
    experiment = bench.write(document["name"], document)
    contenders = {
        "runner": bench.ours("augment", experiment, *rounds),
        "torchvision on PIL images": bench.peer("augment.py", experiment, *rounds, "--on", "pil"),
        "torchvision on tensors": bench.peer("augment.py", experiment, *rounds, "--on", "tensor"),
    }
    for name, number, line in in_turns(bench, case, contenders):
        if isinstance(line, Failed):
            yield Row(case, name, number, "failed", "", str(line))
        elif "seconds" in line:
            yield Row(case, name, number, "image", 1e6 * line["seconds"] / (line["steps"] * batch), "µs")


def in_turns(bench, case, commands):
    """Starts all, then gives each a round in turn; the order rotates. Yields (name, round, JSON line or Failed).

    Names that agree up to a comma are settings of one tool: after the first round only its best goes on.
    """
    processes = {}
    try:
        for name, command in commands.items():
            processes[name] = Contender(command, bench.log(f"{case} {name}"))
        for name in commands:
            try:
                yield name, 0, {"first_step_seconds": processes[name].first_step()}
            except Failed as failure:
                processes.pop(name).close()
                yield name, 0, failure
        for number in range(1, bench.rounds + 1):
            order = list(processes)
            order = order[number % len(order):] + order[:number % len(order)]
            seconds = {}
            for name in order:
                try:
                    line = processes[name].round()
                    seconds[name] = line["seconds"]
                    yield name, number, line
                except Failed as failure:
                    processes.pop(name).close()
                    yield name, number, failure
            for name in slower_settings(seconds):
                processes.pop(name).close()
    finally:
        for process in processes.values():
            process.close()


def slower_settings(seconds):
    """All but the quickest setting of each tool."""
    best = {}
    for name in seconds:
        best.setdefault(tool(name), []).append(name)
    return [name for names in best.values() for name in names if name != min(names, key=seconds.get)]


def tool(name):
    return name.partition(",")[0]


# ---- Whole sweeps -------------------------------------------------------------------------------------------------------

def sweep(bench, case, batch, trials, count, against_ray=False):
    """Seconds from start to end of `trials` trials of LeNet-5, `count` steps each, scored on every split."""
    if bench.quick:
        trials, count = 4, 10
    experiment = bench.experiment(case, "lenet5", batch, trials=trials, train=batch * count)
    processes = ["--processes", str(bench.cores if bench.device == "cpu" else 2)]
    commands = {"runner exact": "exact", "runner fast": "fast"}
    if against_ray:
        commands["Ray Tune, plain"] = bench.peer("ray_tune.py", experiment)
        commands["Ray Tune, channels_last"] = bench.peer("ray_tune.py", experiment, *TUNED)
    else:
        commands["processes, plain"] = bench.peer("resident.py", experiment, *processes)
        commands["processes, channels_last"] = bench.peer("resident.py", experiment, *processes, *TUNED)
        commands["vmap, eager"] = bench.peer("vmap.py", experiment)
        commands["vmap, compiled"] = bench.peer("vmap.py", experiment, "--compile", "--channels-last")
    running = list(commands)
    for number in range(1, bench.repeats + 1):
        seconds = {}
        for name in running[number % len(running):] + running[:number % len(running)]:
            command, out = commands[name], bench.folder / "out"
            ours = isinstance(command, str)
            command = bench.program("sweep", command, experiment, out) if ours else command
            try:
                wall, processor, line = run(command, bench.log(f"{case} {name}"))
                scores = stored_scores(out) if ours else [(one["test"]["loss"], one["test"]["accuracy"]) for one in line["scores"]]
            except Failed as failure:
                running.remove(name)
                yield Row(case, name, number, "failed", "", str(failure))
                continue
            seconds[name] = wall
            yield Row(case, name, number, "sweep", wall, "s")
            # Ray's own processes are not its children.
            if not name.startswith("Ray"):
                yield Row(case, name, number, "processor time", processor, "s")
            yield Row(case, name, number, "trials", len(scores), "")
            yield Row(case, name, number, "mean test loss", statistics.fmean(loss for loss, _ in scores), "")
            yield Row(case, name, number, "mean test accuracy", 100 * statistics.fmean(right for _, right in scores), "%")
        running = [name for name in running if name not in slower_settings(seconds)]


def stored_scores(out):
    with open(out / "trials.csv", newline="") as file:
        return [(float(row["test_loss"]), float(row["test_accuracy"])) for row in csv.DictReader(file)]


def accuracy(bench, case):
    """Test accuracy of LeNet-5 after one epoch: the same work has the same outcome. Not timed, so one process a core."""
    size = {"train": 640} if bench.quick else {"val": 5000}
    experiment = bench.experiment(case, "lenet5", 64, **size)
    outs = {mode: bench.folder / f"out-{mode}" for mode in ("exact", "fast")}
    commands = {f"runner {mode}": bench.program("train", mode, experiment, out) for mode, out in outs.items()}
    commands |= {
        "resident tensor": bench.peer("resident.py", experiment),
        "resident channels_last": bench.peer("resident.py", experiment, *TUNED),
        "torch.compile": bench.peer("resident.py", experiment, "--compile", "--fused"),
        "vmap": bench.peer("vmap.py", experiment),
    }
    with concurrent.futures.ThreadPoolExecutor(bench.cores) as pool:
        running = {name: pool.submit(run, command, bench.log(f"{case} {name}")) for name, command in commands.items()}
    for name, future in running.items():
        try:
            line = future.result()[2]
            mode = name.removeprefix("runner ")
            loss, right = stored_scores(outs[mode])[0] if mode in outs else line["scores"][0]["test"].values()
        except Failed as failure:
            yield Row(case, name, 1, "failed", "", str(failure))
            continue
        yield Row(case, name, 1, "test accuracy", 100 * right, "%")
        yield Row(case, name, 1, "test loss", loss, "")


# ---- Start and memory ------------------------------------------------------------------------------------------------------

def startup(bench, case):
    """Seconds from a command to its first training step, libraries and images in the file cache."""
    one = bench.experiment(case, "lenet5", 64)
    # `runner train` stores its first step with its first epoch: here one step, with a validation of one image.
    short = bench.experiment(f"{case}_short", "lenet5", 64, epochs=10_000, train=64, val=1)
    out = bench.folder / "out"

    def until_trace():
        command = bench.program("train", "exact", short, out, "--trace")
        return seconds_until(command, bench.log(f"{case} runner"), lambda: any(out.glob("work/*/steps.csv")))

    def until_line(script):
        process = Contender(bench.peer(script, one, "--steps", "1"), bench.log(f"{case} {script}"))
        try:
            return process.first_step()
        finally:
            process.close()

    ways = {"runner train": until_trace, "Python, resident tensor": lambda: until_line("resident.py"),
            "Python, DataLoader": lambda: until_line("dataloader.py"), "Lightning": lambda: until_line("lightning_loop.py")}
    for number in range(1, bench.repeats + 1):
        for name, way in ways.items():
            try:
                yield Row(case, name, number, "first step", way(), "s")
            except Failed as failure:
                yield Row(case, name, number, "failed", "", str(failure))


def memory(bench, case):
    """Memory that each of two workers has for itself while they train, and whether they share the images."""
    experiment = bench.experiment(case, "lenet5", 64, trials=2, train=64 * (50 if bench.quick else 300))
    out = bench.folder / "out"
    commands = {
        "runner sweep, two workers": bench.program("sweep", "exact", experiment, out, "--jobs", "2"),
        "Python, two forked processes": bench.peer("resident.py", experiment, "--processes", "2"),
        "Python, a script a trial": bench.peer("resident.py", experiment),
    }
    for name, command in commands.items():
        alone = name.endswith("a trial")
        process = start(command, bench.log(f"{case} {name}"), stdin=subprocess.DEVNULL)
        samples = []
        try:
            while process.poll() is None:
                workers = [process.pid] if alone else children(process.pid)
                samples += [sample for sample in map(memory_of, workers) if sample]
                time.sleep(MEMORY_POLL_SECONDS)
        finally:
            end(process)
        if process.returncode != 0 or not samples:
            yield Row(case, name, 1, "failed", "", f"exit code {process.returncode}")
            continue
        private, shared = (statistics.median(values) for values in zip(*samples))
        yield Row(case, name, 1, "private memory a worker", private / 1e6, "MB")
        loaded = "once a script" if alone else "once" if shared >= SHARED_SET_BYTES else "once a worker"
        yield Row(case, name, 1, "images are loaded", "", loaded)


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def memory_of(pid):
    """-> bytes that are private, bytes that are shared with others and belong to no library; None if it has ended."""
    private = shared = 0
    try:
        for line in open(f"/proc/{pid}/smaps"):
            field, _, rest = line.partition(":")
            if " " in field:    # a mapping's own line
                library = ".so" in line
            elif field.startswith("Private_"):
                private += 1024 * int(rest.split()[0])
            elif field.startswith("Shared_") and not library:
                shared += 1024 * int(rest.split()[0])
    except OSError:
        return None
    return (private, shared) if private else None


def rates(bench, case):
    """Two numbers that no contender can beat."""
    try:
        _, _, line = run([bench.python, PEERS / "rates.py", "--device", bench.device], bench.log(case))
        yield Row(case, "torch", 1, "float32 matrix product", line["flops_per_second"] / 1e9, "Gflop/s")
        yield Row(case, "torch", 1, "memory copy", line["bytes_per_second"] / 1e9, "GB/s")
    except Failed as failure:
        yield Row(case, "torch", 1, "failed", "", str(failure))


def all_cases(bench):
    """{name: a call that yields the rows}, in the order in which they run."""
    cases = {"rates": lambda: rates(bench, "rates")}
    shown = [("lenet5", 64)] if bench.quick else ROUND_STEPS
    for model, batch in shown:
        name = f"{model} batch {batch}"
        cases[name] = lambda name=name, model=model, batch=batch: steps(bench, name, model, batch)
    if not bench.quick:
        cases["sweep batch 4"] = lambda: sweep(bench, "sweep batch 4", 4, TOGETHER, 4000)
    cases["sweep batch 64"] = lambda: sweep(bench, "sweep batch 64", 64, TOGETHER, 700)
    cases["sweep against Ray"] = lambda: sweep(bench, "sweep against Ray", 64, 32, 50, against_ray=True)
    cases["augmentation"] = lambda: augmentation(bench, "augmentation")
    cases["start"] = lambda: startup(bench, "start")
    cases["memory"] = lambda: memory(bench, "memory")
    cases["accuracy"] = lambda: accuracy(bench, "accuracy")
    return cases
