#!/usr/bin/env python3
"""Holds what five projects claim (scripts/claims.json) against what the stored sweeps found; writes results/README.md.

Every number comes from the tables that `runner report` writes. Needs nothing but Python.
"""

import argparse
import csv
import json
import pathlib
import statistics
import sys

REPO = pathlib.Path(__file__).resolve().parent.parent
HEADER = ["Claim", "Measured", "Outcome", "Why"]


def main():
    parser = argparse.ArgumentParser(prog="scripts/claims.py", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether results/README.md is up to date")
    args = parser.parse_args()
    systems = json.loads((REPO / "scripts" / "claims.json").read_text())
    page, text = REPO / "results" / "README.md", render(systems)
    if args.check:
        if not page.exists() or page.read_text() != text:
            sys.exit("error: results/README.md is not what scripts/claims.py writes")
        return
    page.write_text(text)


def render(systems):
    parts = [
        "# Five projects and what they claim",
        "Each project's recipe was run with this program. A row says what was claimed, what was measured (mean ± standard "
        "deviation over n seeds, on the 10,000 test images, of the epoch with the best validation loss) and whether the claim "
        "held. `scripts/claims.py` writes this page from the tables beside it.",
        "**The images were JPEG-compressed once** (about 30 dB PSNR against the originals), so no number here is one on the "
        "official pixels, and a claim may be missed or met for that alone. The test images never chose anything: not an epoch, not a setting.",
        "A claim that something helps is *held* if any of its settings is surely better than the base, *contradicted* if all are "
        "surely worse. Surely means a paired t-test below 0.05 after Holm's adjustment within the block; anything else is "
        "*inconclusive*, which is not the same as equal. Differences are in points, paired by seed; the reports have their "
        "intervals. A claimed number is *held* if the 95 % interval of ours reaches it, *exceeded* or *lower* if ours is surely "
        "better, else *not reached*. *Run* means that no number is claimed.",
    ]
    parts += [section(system) for system in systems]
    parts.append(runs([system["experiment"] for system in systems]))
    return "\n\n".join(parts) + "\n"


def section(system):
    name = system["experiment"]
    rows = read(name, "summary.csv")
    claims = [claim | {"experiment": name} for claim in system["claims"]]
    table = [HEADER, *([claim["claim"], *judge(claim, rows), claim["why"]] for claim in claims)]
    title = f"## {system['system']}"
    trials = ended(name)
    if not trials:
        return f"{title}\n\nNot run yet.\n\n{markdown(table)}"
    links = f"[Report]({name}/report.md) · [tables]({name}/summary.md)"
    count = f"{len(trials)} of {len(read(name, 'plan.csv'))} trials"
    return f"{title}\n\n{links} · {modes(trials)} mode · {count}\n\n{markdown(table)}"


def judge(claim, rows):
    """-> what was measured, the outcome."""
    rows = [row for row in rows if row["block"] == claim["block"]]
    base = next((row for row in rows if row["label"] == "base"), None)
    settings = [row for row in rows if row is not base]
    if "setting" in claim:
        wanted = claim["setting"]
        settings = [row for row in rows if row["label"] == wanted] if wanted != "*" else settings
    settings = [row for row in settings if int(row["test_accuracy_n"] or 0) > 0]
    if not settings or not base or int(base["test_accuracy_n"] or 0) == 0:
        return "", "not run"
    return RULES[claim["expect"]](claim, base, settings)


def accuracy(claim, _base, settings):
    """Whether the claimed accuracy lies within what the seeds allow."""
    row = settings[0]
    low, high = row["test_accuracy_ci_low"], row["test_accuracy_ci_high"]
    selected = (f"; validation accuracy {percent(row['val_accuracy_mean'])} % at the selected epoch, "
                f"{percent(row['val_accuracy_peak_mean'])} % at its highest")
    if not low:
        side = "reached" if float(row["test_accuracy_mean"]) >= claim["value"] else "not reached"
        return mean(row) + selected, f"{side} with one seed: no interval"
    outcome = "not reached" if float(high) < claim["value"] else "exceeded" if float(low) > claim["value"] else "held"
    return f"{mean(row)}, 95 % interval {percent(low)}–{percent(high)} %{selected}", outcome


def loss(claim, _base, settings):
    """Whether the claimed sum of cross-entropy and penalty lies within what the seeds allow."""
    row, extra = settings[0], penalty(claim["experiment"])
    total, low, high = (float(row[f"test_loss_{name}"] or "nan") + extra for name in ("mean", "ci_low", "ci_high"))
    measured = f"{total:.4f}, of which {extra:.4f} are the penalty (n = {row['test_loss_n']})"
    if row["test_loss_n"] == "1":
        side = "lower" if total < claim["value"] else "not reached"
        return measured, f"{side} with one seed: no interval"
    outcome = "not reached" if low > claim["value"] else "lower" if high < claim["value"] else "held"
    return measured, outcome


def compared(claim, base, settings):
    """Whether any setting differs from the base as claimed; contradicted if all differ in the other direction."""
    opposite = "worse" if claim["expect"] == "better" else "better"
    as_claimed, against = ([row["label"] for row in settings if row["verdict"] == verdict] for verdict in (claim["expect"], opposite))
    outcome = "held" if as_claimed else "contradicted" if len(against) == len(settings) else "inconclusive"
    if as_claimed and len(settings) > 1:
        outcome += f": {'; '.join(as_claimed)}"
    if against and outcome != "contradicted":
        outcome += f", but {opposite}: {'; '.join(against)}"
    return differences(base, settings), outcome


def answered(_claim, base, settings):
    """A question without a claimed answer."""
    found = [f"{verdict}: {', '.join(row['label'] for row in settings if row['verdict'] == verdict)}"
             for verdict in ("better", "worse") if any(row["verdict"] == verdict for row in settings)]
    return differences(base, settings), "; ".join(found) or "inconclusive"


def shown(_claim, _base, settings):
    row = settings[0]
    names = ("precision", "recall", "specificity", "f1")
    macro = ", ".join(f"{name.replace('f1', 'F1')} {percent(row[f'macro_{name}_mean'])} %" for name in names)
    return f"{mean(row)}; over the classes: {macro}; loss {float(row['test_loss_mean']):.3f}", "run"


def less_overfitting(_claim, base, settings):
    """Whether the interval of any setting's rise of the validation loss, or the one value of all its seeds, lies below the base's."""
    rise = "val_loss_rise"
    texts = [f"{row['label']}: {float(row[rise + '_mean']):.2f} (gap {percent(row['accuracy_gap_mean'])})" for row in [base, *settings]]
    measured = "rise of the validation loss (gap in points): " + "; ".join(texts)
    if not base[rise + "_ci_low"]:
        return measured, "one seed: no interval"
    high = {row["label"]: row[rise + "_ci_high"] or (row[rise + "_mean"] if row[rise + "_std"] else "inf") for row in settings}
    below = [label for label, end in high.items() if float(end) < float(base[rise + "_ci_low"])]
    return measured, f"held: {'; '.join(below)}" if below else "inconclusive"


RULES = {"accuracy": accuracy, "loss": loss, "better": compared, "worse": compared, "open": answered, "shown": shown,
         "less overfitting": less_overfitting}


def differences(base, settings):
    """The base, then each setting's difference to it."""
    texts = [f"base {mean(base)}"]
    for row in settings:
        if row["difference_mean"]:
            few = f" (n = {row['difference_pairs']})" if row["difference_pairs"] != base["test_accuracy_n"] else ""
            texts.append(f"{row['label']} {100 * float(row['difference_mean']):+.1f}{few}".replace("-", "−"))
    return "; ".join(texts)


def mean(row):
    std = f" ± {percent(row['test_accuracy_std'])}" if row["test_accuracy_std"] else ""
    return f"{percent(row['test_accuracy_mean'])}{std} % (n = {row['test_accuracy_n']})"


def percent(share):
    return f"{100 * float(share):.1f}"


def runs(experiments):
    """Which commands made the numbers, and where."""
    table = [["Command", "Trials", "Hours on one core", "Machine"]]
    for name in experiments:
        trials = ended(name)
        if not trials:
            continue
        made = json.loads((REPO / "results" / name / "manifest.json").read_text())
        planned = len(read(name, "plan.csv"))
        hours = sum(float(row["seconds"]) for row in trials) / 3600
        machine = f"{made['processor']}, {made['device']}, {made['threads_per_worker']} thread a worker, libtorch {made['libtorch']}"
        mode = modes(trials)
        command = f"runner sweep experiments/{name}.yaml{'' if mode == 'exact' else f' --mode {mode}'}"
        table.append([f"`{command}`", f"{len(trials)} of {planned}", f"{hours:.1f}", machine])
    return (
        "## Commands, times and machine\n\n"
        f"{markdown(table)}\n\n"
        "The hours were measured beside other work on the same machine, or while it was suspended, and say nothing about speed; "
        "`benchmarks/` has measurements. "
        "`runner report results/NAME` makes all tables and plots anew from the stored trials. The weights are not stored: "
        "`runner sweep experiments/NAME.yaml --rerun all` trains them again if it has the same images (`manifest.json` has their "
        "SHA-256; with others use `--out`), in exact mode and on such a processor to the same bits.")


def ended(experiment):
    return [row for row in read(experiment, "trials.csv") if row["status"] in ("done", "diverged", "failed")]


def penalty(experiment):
    """The mean penalty of its trials over the steps of their selected epoch; 0 where none has one."""
    best = {(row["id"], row["best_epoch"]) for row in ended(experiment) if row["best_epoch"]}
    found = [float(row["value"]) for row in read(experiment, "history.csv")
             if row["metric"] == "penalty" and (row["trial"], row["epoch"]) in best]
    return statistics.fmean(found) if found else 0.0


def modes(trials):
    """In which mode they were computed."""
    return ", ".join(sorted({row["mode"] for row in trials}))


def read(experiment, table):
    path = REPO / "results" / experiment / table
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def markdown(table):
    header, *body = [[str(cell).replace("|", "/") for cell in line] for line in table]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *body])


if __name__ == "__main__":
    main()
