"""Rows -> CSV and Markdown. Nothing here measures."""

import csv
import io
import statistics

from benchmark.cases import tool
from benchmark.contenders import Row

# What each kind of case is about: the quantity that decides, and what else is shown.
STEP, SWEEP = "step", "sweep"
MAIN = (STEP, SWEEP, "image", "first step", "private memory a worker", "test accuracy")
PASSES_OVER_ACTIVATIONS = 5     # written, read by the next layer, read for its gradient; the gradient written and read
PASSES_OVER_PARAMETERS = 8      # read forward and backward; the gradient, the weight and a momentum each written and read,


def to_csv(rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(rows, facts, networks):
    """`networks`: {name: (multiply-adds, activations, parameters)} of one image."""
    parts = ["# How fast", facts, summary(rows), floors(rows, networks)]
    parts += [case_section(case, [row for row in rows if row.case == case]) for case in ordered(row.case for row in rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(rows):
    """One line a case: this program in its modes and the best of the others; what computes in bfloat16 is compared apart."""
    table = [["case", "runner exact", "runner fast", "best other", "which", "best other / fast", "DataLoader / fast",
              "runner fast-bf16", "resident bf16 / fast-bf16"]]
    for case in ordered(row.case for row in rows if row.quantity in (STEP, SWEEP)):
        values = medians([row for row in rows if row.case == case and row.quantity in (STEP, SWEEP)])
        unit = next(row.unit for row in rows if row.case == case and row.quantity in (STEP, SWEEP))
        exact, fast = values.get("runner exact"), values.get("runner fast")
        others = {name: value for name, value in values.items() if is_other(name)}
        best = min(others, key=others.get, default=None)
        loader = next((value for name, value in others.items() if tool(name) == "DataLoader"), None)
        table.append([case, figure(exact, unit), figure(fast, unit), figure(others.get(best), unit), best or "none",
                      ratio(others.get(best), fast), ratio(loader, fast), figure(values.get("runner fast-bf16"), unit),
                      ratio(values.get("resident bf16"), values.get("runner fast-bf16"))])
    return "## At a glance\n\nMedians; for sweeps from start to end.\n\n" + markdown(table)


def is_other(name):
    """A peer that computes one trial in float32."""
    return not name.startswith("runner") and " x" not in name and "bf16" not in name


def floors(rows, networks):
    """What the processor allows, and how much of it each way of training reaches."""
    rates = {row.quantity: row.value for row in rows if row.case == "rates" and row.quantity != "failed"}
    if not rates:
        return ""
    flops, copied = rates["float32 matrix product"] * 1e9, rates["memory copy"] * 1e9
    table = [["case", "arithmetic", "memory", "exact reaches", "fast reaches", "best other reaches"]]
    for case in ordered(row.case for row in rows if row.quantity == STEP):
        model, _, batch = case.rpartition(" batch ")
        multiply_adds, activations, parameters = networks[model]
        arithmetic = 1e3 * 3 * 2 * multiply_adds * int(batch) / flops
        passes = PASSES_OVER_ACTIVATIONS * activations * int(batch) + PASSES_OVER_PARAMETERS * parameters
        traffic = 1e3 * 4 * passes / copied
        values = medians([row for row in rows if row.case == case and row.quantity == STEP])
        others = [value for name, value in values.items() if is_other(name)]
        reached = [share(max(arithmetic, traffic), value)
                   for value in (values.get("runner exact"), values.get("runner fast"), min(others, default=None))]
        table.append([case, figure(arithmetic, "ms"), figure(traffic, "ms"), *reached])
    return (
        "## Against the floor\n\n"
        f"One thread multiplies float32 matrices at {flops / 1e9:.1f} Gflop/s and copies memory at {copied / 1e9:.1f} GB/s, both "
        "measured here with the same libtorch. No step can be quicker than its arithmetic, 3 × 2 × multiply-adds an image, at the "
        f"first rate. At the second one, {PASSES_OVER_ACTIVATIONS} passes over the activations and {PASSES_OVER_PARAMETERS} over "
        "the parameters take the time under memory, less where they stay in a cache. The shares are of the larger of the two; what is "
        "missing in small steps is the cost of calling each operation.\n\n" + markdown(table))


def case_section(case, rows):
    """Every contender of one case: median, range, ratios."""
    failed = [row for row in rows if row.quantity == "failed"]
    quantities = ordered(row.quantity for row in rows if row.quantity != "failed")
    main = next((quantity for quantity in MAIN if quantity in quantities), None)
    parts = [f"## {case}"]
    if main:
        parts.append(markdown(contender_table(rows, main, quantities)))
    elif quantities:
        parts.append(markdown([["quantity", "value"], *([row.quantity, figure(row.value, row.unit)] for row in rows if row not in failed)]))
    parts += [f"{row.contender} is missing: {row.unit}" for row in failed]
    return "\n\n".join(parts)


def contender_table(rows, main, quantities):
    of = {quantity: [row for row in rows if row.quantity == quantity] for quantity in quantities}
    values = medians(of[main], all_settings=True)
    unit = of[main][0].unit
    last_loss = max((quantity for quantity in quantities if quantity.startswith("loss at")), key=lambda q: int(q.split()[-1]), default=None)
    rest = [quantity for quantity in quantities if quantity != main and not quantity.startswith("loss at")]
    rest += [last_loss] if last_loss else []
    compared = unit not in ("%", "MB")
    header = ["contender", main, "range", "n", *(["/ exact", "/ fast"] if compared else []), *rest]
    table = [header]
    for name in values:
        all_values = [row.value for row in of[main] if row.contender == name]
        ratios = [ratio(values[name], values.get("runner exact")), ratio(values[name], values.get("runner fast"))]
        line = [name, figure(values[name], unit), f"{digits(min(all_values))}–{digits(max(all_values))}", str(len(all_values))]
        table.append(line + (ratios if compared else []) + [extra(of[quantity], name) for quantity in rest])
    return table


def extra(rows, name):
    rows = [row for row in rows if row.contender == name]
    if not rows:
        return ""
    if rows[0].value == "":
        return rows[0].unit
    median = statistics.median(row.value for row in rows)
    precise = "loss" in rows[0].quantity
    return f"{median:.6f}" if precise else figure(median, rows[0].unit)


def medians(rows, all_settings=False):
    """{contender: its median}; of a tool's settings the one that was measured to the end, unless all are wanted."""
    values = {}
    for name in ordered(row.contender for row in rows):
        values[name] = [row.value for row in rows if row.contender == name]
    if not all_settings:
        best = {}
        for name, measured in values.items():
            key = (-len(measured), statistics.median(measured))
            best[tool(name)] = min(best.get(tool(name), (key, name)), (key, name))
        values = {name: values[name] for _, name in best.values()}
    return {name: statistics.median(measured) for name, measured in values.items()}


def ordered(items):
    return list(dict.fromkeys(items))


def figure(value, unit):
    if value is None or value == "":
        return unit if value == "" else ""
    return f"{digits(value)} {unit}".strip()


def digits(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ratio(value, base):
    return f"{value / base:.2f}" if value and base else ""


def share(floor, value):
    return f"{100 * floor / value:.0f} %" if value else ""


def markdown(table):
    header, *body = [[str(cell).replace("|", "/") for cell in line] for line in table]
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *body])
