"""Runs this program and what people would use instead on the same work, in turns, and writes results/benchmarks.

scripts/bench calls it with an environment that has everything. Its contenders are in scripts/peers and benches/steps.rs.
"""

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from benchmark import cases, report  # noqa: E402
from benchmark.images import random_images  # noqa: E402
from benchmark.contenders import Row  # noqa: E402

REPO = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "torchvision", "lightning", "ray")
# Cases whose losses all contenders share, and how closely.
WITHOUT_DROPOUT = ("lenet5 batch 64", "lenet5 batch 512", "leaky_cnn batch 64", "leaky_cnn batch 512")
CLOSE = 0.01


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", allow_abbrev=False, description=__doc__.split("\n")[0],
        epilog="A whole run takes about 40 minutes on two idle cores. An interrupted one goes on with the next case. "
               "--quick and --only write to target/bench instead of results/benchmarks.")
    parser.add_argument("--quick", action="store_true", help="every contender once, on little work: does it all run? (2 minutes)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="cases whose names start so; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the cases and run nothing")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--data", type=pathlib.Path, default=REPO / "data", metavar="DIR", help="holds cifar-10-batches-bin/")
    parser.add_argument("--runner", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))   # so that the contenders are ended too
    scratch = REPO / "target" / "bench"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        folder = pathlib.Path(folder)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")   # every compilation is a first one
        bench = cases.Bench(args.runner, args.steps, sys.executable, args.data, args.device, args.quick, folder,
                            len(os.sched_getaffinity(0)))
        chosen = {name: call for name, call in cases.all_cases(bench).items() if not args.only or name.startswith(tuple(args.only))}
        if not chosen:
            sys.exit(f"error: no case starts with {', '.join(args.only)}; --list names them")
        if args.list:
            print("\n".join(chosen))
            return 0
        if not (args.data / "cifar-10-batches-bin").is_dir():
            say(f"no CIFAR-10 in {args.data}: random images instead")
            bench.data = random_images(folder)
        facts = describe(args, random=bench.data != args.data)    # now: the files may change meanwhile
        rows = measure(chosen, scratch / "unfinished.json", fingerprint(args))
    out = scratch if args.quick or args.only else REPO / "results" / "benchmarks"
    name = "bench" if args.device == "cpu" else "bench-cuda"
    out.mkdir(parents=True, exist_ok=True)
    write(out / f"{name}.csv", report.to_csv(rows))
    write(out / f"{name}.md", report.to_markdown(rows, facts, networks(args.runner)))
    (scratch / "unfinished.json").unlink(missing_ok=True)
    say(f"{out / name}.md and .csv")
    return check(rows)


def measure(chosen, unfinished, key):
    """All rows. Finished cases of an interrupted run with the same `key` are not run again."""
    done = {}
    if unfinished.exists():
        stored = json.loads(unfinished.read_text())
        if stored["key"] == key:
            done = stored["cases"]
    for number, (name, call) in enumerate(chosen.items(), 1):
        if name in done:
            say(f"[{number}/{len(chosen)}] {name}: measured before")
            continue
        say(f"[{number}/{len(chosen)}] {name}")
        rows = []
        for row in call():
            rows.append(row)
            if row.quantity in report.MAIN or row.case == "rates":
                say(f"    {row.contender}: {report.figure(row.value, row.unit)}")
            elif row.quantity == "failed":
                say(f"    {row.contender} is missing: {row.unit}")
        done[name] = rows
        write(unfinished, json.dumps({"key": key, "cases": done}))
    return [Row(*row) for name in chosen for row in done[name]]


def check(rows):
    """Whether all contenders ran and those that promise the same bits have the same losses -> the exit code."""
    code = 0
    for row in rows:
        if row.quantity == "failed":
            say(f"missing: {row.case}: {row.contender}: {row.unit}")
            code = 1
    same = ("resident tensor", "Lightning, plain", "DataLoader", "processes, plain", "Ray Tune, plain")
    exact = {(row.case, row.quantity): row.value for row in rows if row.contender == "runner exact"}
    for row in rows:
        if row.quantity.startswith("loss at") and row.contender.startswith(same) and row.value != exact.get((row.case, row.quantity)):
            say(f"{row.case}: {row.contender}: {row.quantity} is {row.value}, not {exact.get((row.case, row.quantity))}")
            code = 1
        elif row.quantity.startswith("loss at") and first_round(row) and not close(row, exact):
            say(f"{row.case}: {row.contender}: {row.quantity} is {row.value}, far from {exact.get((row.case, row.quantity))}")
            code = 1
    if code == 0:
        say("every contender ran; whatever computes in the same order has the same losses, all else close ones")
    return code


def first_round(row):
    """Later, and at batch size 4, rounding has grown; with dropout, compilers and vmap draw other numbers."""
    return row.repeat == 1 and " x" not in row.contender and row.case in WITHOUT_DROPOUT


def close(row, exact):
    expected = exact.get((row.case, row.quantity), float("nan"))
    return abs(row.value - expected) <= CLOSE * abs(expected)


def networks(runner):
    """{name: (multiply-adds, activations, parameters)} of one image."""
    found = {}
    for name in cases.OPTIMIZERS:
        rows = json.loads(subprocess.check_output([runner, "models", name, "--json"]))["rows"]
        sizes = [product(row["output"]) for row in rows]
        found[name] = (sum(row["multiply_adds"] for row in rows), sum(sizes), sum(row["parameters"] for row in rows))
    return found


def product(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


def describe(args, random):
    """What was measured, where, when, with which versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    images = "random bytes of CIFAR-10's size" if random else "CIFAR-10"
    sizes = "Little work, to see that everything runs: these numbers say nothing.\n\n" if args.quick else ""
    where = processor() if args.device == "cpu" else f"{gpu()} beside {processor()}"
    return (
        f"{sizes}Measured on {datetime.date.today()} on {where}, {len(os.sched_getaffinity(0))} cores; {git()}, {versions}, "
        f"Python {platform.python_version()}; images: {images}. One thread a process everywhere; a DataLoader's workers, sweeps and Ray "
        "Tune use all cores. All contenders use one libtorch and take turns, in an order that rotates. Of a tool's settings "
        "(after a comma) all are measured once and the best to the end. `scripts/bench` measures anew.")


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def gpu():
    import torch
    return torch.cuda.get_device_name()


def git():
    said = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=REPO, capture_output=True, text=True)
    return f"runner {said.stdout.strip() or 'of unknown commit'}"


def fingerprint(args):
    return [git(), hashlib.sha256(args.steps.read_bytes()).hexdigest(), args.device, args.quick, str(args.data), [version(name) for name in PACKAGES]]


def write(path, text):
    """Whole or not at all."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text)
    scratch.replace(path)


def say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
