#!/usr/bin/env python3
"""Holds what five projects claim (scripts/claims.json) against what the stored sweeps found; writes results/README.md.

Every number comes from the tables that `runner report` writes. Needs nothing but Python.
"""

import argparse
import collections
import csv
import json
import math
import pathlib
import statistics
import sys

REPO = pathlib.Path(__file__).resolve().parent.parent
HEADER = ["Claim", "Measured", "Verdict", "Why"]


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
        "Each project's recipe was run with this program. A row says what was claimed and what was measured: mean ± standard "
        "deviation over n seeds, on the 10,000 test images, of the epoch with the best validation loss. `scripts/claims.py` "
        "writes this page from the tables beside it.",
        "**CIFAR-10's images were JPEG-compressed once** (about 30 dB PSNR against the originals), so no number of theirs is one on the "
        "official pixels, and a claim may be missed or met for that alone. The test images never chose anything: not an epoch, not a setting.",
        "A setting is *better* or *worse* than the base if the interval of its difference, in points, lies wholly above or below "
        "zero, and *equivalent* if it lies wholly within the margin, ±1 point unless another is named. Anything else is "
        "*inconclusive*, which is not the same as equal. *Unstable* is a setting of which a trial diverged, or of which some "
        "trials are at chance and others not. A block's intervals hold together with 95 % confidence; those of several blocks, and "
        "counts over them, do not. Each answer is for the recipe that its section names.",
        "A claimed accuracy is *reached* if the 95 % interval of our mean lies wholly at or above the claim minus the margin, *not "
        "reached* if it lies wholly below that, else *open*. Everything else is a number without a word. Brackets hold intervals: of "
        "differences as above, of other numbers 95 % each.",
        "There is one split and one test set: the intervals cover what training leaves to chance, not other images. For one "
        "accuracy 10,000 test images leave ±0.5 points open (one standard error), whatever is done over seeds.",
    ]
    parts += [section(system) for system in systems]
    parts.append(runs(systems))
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
    about = [links, f"{modes(trials)} mode", count, recipe(name), *filter(None, [system.get("note")])]
    return f"{title}\n\n{' · '.join(about)}\n\n{markdown(table)}"


def manifest(name):
    return json.loads((REPO / "results" / name / "manifest.json").read_text())


def recipe(name):
    """What all settings share, and a margin that is not the usual one."""
    experiment = manifest(name)["experiment"]
    tune = experiment.get("tune")
    shared = f"each setting at its best {', '.join(tune['keys'])}" if tune else "held at this recipe"
    return shared + (f" · margin ±{experiment['margin']} points" if "margin" in experiment else "")


def judge(claim, rows):
    """-> what was measured, the verdict."""
    rows = [row for row in rows if row["block"] == claim["block"]]
    base = next((row for row in rows if row["label"] == "base"), None)
    settings = [row for row in rows if row is not base]
    if "setting" in claim:
        wanted = claim["setting"]
        settings = [row for row in rows if row["label"] == wanted] if wanted != "*" else settings
    ended = [row for row in settings if scored(row) or row["verdict"] == "unstable" and claim["expect"] == "verdicts"]
    if not ended or not base or not scored(base):
        return "", "not run"
    return RULES[claim["expect"]](claim, base, ended)


def scored(row):
    return int(row["test_accuracy_n"] or 0) > 0


def accuracy(claim, _base, settings):
    """Whether the claimed accuracy, less the margin, lies below the interval of ours, above it or in it."""
    row = settings[0]
    low, high = row["test_accuracy_ci_low"], row["test_accuracy_ci_high"]
    measured = (f"{mean(row)}{within(row, 'test_accuracy')}; validation accuracy {percent(row['val_accuracy_mean'])} % at the "
                f"selected epoch, {percent(row['val_accuracy_peak_mean'])} % at its highest{last_epoch(row)}")
    if not low:
        return measured, "open: no interval"
    wanted = claim["value"] - manifest(claim["experiment"])["experiment"].get("margin", 1.0) / 100
    return measured, reached(float(low), float(high), wanted)


def last_epoch(row):
    """What the last epoch's weights have on the test images, which earlier versions did not store."""
    n = int(row["last_test_accuracy_n"] or 0)
    if not n:
        return ""
    return (f"; with the last epoch's weights {percent(row['last_test_accuracy_mean'])} %{within(row, 'last_test_accuracy')} "
            f"on the test images (n = {n})")


def reached(low, high, wanted):
    return "reached" if low >= wanted else "not reached" if high < wanted else "open"


def loss(claim, _base, settings):
    """The claim's sum of cross-entropy and penalty."""
    row, extra = settings[0], penalty(claim["experiment"])
    total, low, high = (float(row[f"test_loss_{name}"] or "nan") + extra for name in ("mean", "ci_low", "ci_high"))
    interval = f" ({low:.4f} to {high:.4f})" if row["test_loss_ci_low"] else ""
    return f"{total:.4f}{interval}, of which {extra:.4f} are the penalty (n = {row['test_loss_n']})", ""


def verdicts(_claim, base, settings):
    """The verdict of each setting, and its difference to the base."""
    words = []
    for verdict in VERDICTS:
        labels = [row["label"] for row in settings if row["verdict"] == verdict]
        if labels:
            words.append(verdict if len(labels) == len(settings) else f"**{verdict}**: {'; '.join(labels)}")
    return "; ".join([f"base {mean(base)}", *(difference(row, base) for row in settings)]), ". ".join(words)


def shown(_claim, _base, settings):
    row = settings[0]
    names = {"precision": "precision", "recall": "recall", "specificity": "specificity", "f1": "F1"}
    macro = ", ".join(f"{name} {percent(row[f'macro_{column}_mean'])} %{within(row, f'macro_{column}')}"
                      for column, name in names.items())
    loss = f"{float(row['test_loss_mean']):.3f}{within(row, 'test_loss', '.3f', 1)}"
    return f"{mean(row)}{within(row, 'test_accuracy')}; over the classes: {macro}; loss {loss}", ""


def against(claim, _base, settings):
    """The difference to the same setting of another study, with Welch's interval: the two have no seed's luck in common."""
    row = settings[0]
    other = next(one for one in read(claim["other"], "summary.csv") if one["block"] == claim["block"] and one["label"] == row["label"])
    return f"{mean(row)} against {mean(other)} there: {points(row, other)}", ""


def habits(claim, _base, _settings):
    """What each habit costs: the means of its table, and the difference to the training that has neither."""
    accuracies = collections.defaultdict(list)
    for row in read(".", claim["table"]):
        accuracies[int(row["softmaxes"]), row["dropout_in_evaluation"] == "True"].append(float(row["test_accuracy"]))
    rows = {key: {"test_accuracy_mean": statistics.fmean(found), "test_accuracy_std": statistics.stdev(found),
                  "test_accuracy_n": len(found)} for key, found in accuracies.items()}
    neither = rows[1, False]
    names = {(2, False): "two softmaxes", (1, True): "dropout in evaluation", (2, True): "both"}
    return "; ".join([f"neither {mean(neither)}",
                      *(f"{name} {mean(rows[key])}, {points(rows[key], neither)}" for key, name in names.items())]), ""


def points(row, base):
    """The first mean accuracy less the second, in points with the 95 % interval of Welch's test."""
    (one, one_std, one_n), (other, other_std, other_n) = (
        [float(each[f"test_accuracy_{name}"]) for name in ("mean", "std", "n")] for each in (row, base))
    shares = one_std**2 / one_n, other_std**2 / other_n
    error = math.sqrt(sum(shares))
    freedom = math.floor(error**4 / (shares[0]**2 / (one_n - 1) + shares[1]**2 / (other_n - 1)) + 1e-9)
    reach = t_quantile(freedom) * error
    low, difference, high = (signed(value, scale=100) for value in (one - other - reach, one - other, one - other + reach))
    return f"{difference} points ({low} to {high})"


def t_quantile(freedom):
    """What Student's t of so many degrees of freedom stays within, on both sides, with 95 %."""
    low, high = 0.0, 1000.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, freedom) < 0.95 else (low, middle)
    return low


def t_within(limit, freedom):
    """P(|t| < limit) for a whole number of degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(limit / math.sqrt(freedom))
    cosine, is_odd = math.cos(angle), freedom % 2
    terms = [cosine if is_odd else 1.0]
    for power in range(2 + is_odd, freedom - 1, 2):
        terms.append(terms[-1] * cosine**2 * (power - 1) / power)
    total = math.sin(angle) * sum(terms) if freedom > 1 else 0.0
    return 2 / math.pi * (angle + total) if is_odd else total


def overfitting(_claim, base, settings):
    """The rise of the validation loss after its lowest epoch."""
    rise = "val_loss_rise"
    texts = [f"{row['label']}: {signed(row[f'{rise}_mean'])}{within(row, rise, '+.2f', 1)}, gap {percent(row['accuracy_gap_mean'])}"
             for row in [base, *settings]]
    return "rise of the validation loss, and gap in points: " + "; ".join(texts), ""


RULES = {"accuracy": accuracy, "loss": loss, "verdicts": verdicts, "shown": shown, "overfitting": overfitting,
         "against": against, "habits": habits}
VERDICTS = ("better", "worse", "equivalent", "inconclusive", "unstable")


def difference(row, base):
    """A setting's difference with its interval, or why there is none."""
    if not row["difference"]:
        return f"{row['label']}: {row['no_interval_because']}"
    n = row["look"] or row["test_accuracy_n"]    # trials after the look did not enter
    against_base = f" against {row['look_base']}" if row["look_base"] not in ("", n) else ""
    few = f" (n = {n}{against_base})" if against_base or n != base["test_accuracy_n"] else ""
    interval = within(row, "difference", "+.2f", 1) or " (no interval)"
    return f"{row['label']} {signed(row['difference'])}{interval}{few}"


def within(row, name, form=".1f", scale=100):
    """The interval of a number in brackets, as a rule 95 % of its mean; nothing where it has none."""
    low, high = (row[f"{name}_ci_{end}"] for end in ("low", "high"))
    return f" ({signed(low, form, scale)} to {signed(high, form, scale)})" if low else ""


def signed(number, form="+.2f", scale=1):
    return format(scale * float(number), form).replace("-", "−")


def mean(row):
    std = f" ± {percent(row['test_accuracy_std'])}" if row["test_accuracy_std"] else ""
    return f"{percent(row['test_accuracy_mean'])}{std} % (n = {row['test_accuracy_n']})"


def percent(share):
    return f"{100 * float(share):.1f}"


def runs(systems):
    """Which commands made the numbers, and where."""
    table = [["Command", "Trials", "Machine: trials, hours of them one after the other"]]
    versions = set()
    for system in systems:
        name = system["experiment"]
        trials = ended(name)
        if not trials:
            continue
        planned = len(read(name, "plan.csv"))
        mode = modes(trials)
        versions |= {row["libtorch"] for row in trials}
        arguments = system.get("arguments", f"{name}.yaml")
        command = f"runner sweep experiments/{arguments}{'' if mode == 'exact' else f' --mode {mode}'}"
        table.append([f"`{command}`", f"{len(trials)} of {planned}", machines(name, trials)])
    return (
        "## Commands, times and machine\n\n"
        f"{markdown(table)}\n\n"
        f"All with libtorch {', '.join(sorted(versions))}, one thread a worker on a CPU. "
        "The hours were measured beside other work on the same machine, or while it was suspended, and say nothing about speed; "
        "`benchmarks/` has measurements. "
        "`runner report results/NAME` makes all tables and plots anew from the stored trials. The weights are not stored: "
        "`runner sweep experiments/NAME.yaml --rerun all` trains them again if it has the same images (`manifest.json` has their "
        "SHA-256; with others use `--out`), in exact mode and on such a processor to the same bits.")


def machines(name, trials):
    """What computed the trials. Earlier versions stored only what the last sweep ran on, which others may have followed since."""
    named = any(row["processor"] for row in trials)
    unnamed = "a processor that was not stored" if named else manifest(name)["processor"]
    hours = collections.defaultdict(list)
    for row in trials:
        hours[row["processor"] or unnamed].append(float(row["seconds"]) / 3600)
    return "; ".join(f"{machine}: {len(own)}, {sum(own):.1f} h" for machine, own in sorted(hours.items()))


def ended(experiment):
    return [row for row in read(experiment, "trials.csv") if row["status"] in ("done", "diverged", "failed")]


def penalty(experiment):
    """The mean penalty of its trials over the steps of their selected epoch; 0 where none has one."""
    best = {(row["id"], row["best_epoch"]) for row in ended(experiment) if row["best_epoch"] and row["role"] == "comparison"}
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
