//! The summary as people read it: per block, one table of results, one of convergence and generalization, and one of costs
//! where networks of different sizes are compared, in Markdown and in TeX.

use super::numbers::{interval, mean_std, percent};
use super::statistics::Spread;
use super::summary::{BlockSummary, Measure, Row};
use super::{Study, StudyBlock};
use crate::verdict::asked::Taken;
use crate::words::{grouped, minus, p_value, points_of_margin, signed};

/// Rows of cells under a header, free of any markup.
pub struct Grid {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What a table shows where there is no value.
pub const MISSING: &str = "–";

impl Grid {
    /// Numbers are set to the right.
    fn is_numeric(&self, column: usize) -> bool {
        self.rows.iter().all(|row| row[column].starts_with(|c: char| c.is_ascii_digit() || "+−–<>n".contains(c)))
    }
}

/// Test accuracy, loss, and the comparison with the base, which is the first row.
pub fn results(study: &Study, block: &BlockSummary) -> Grid {
    let mut header =
        ["Setting", "n", "Test accuracy (%)", "Test loss", "Difference (points)", "Interval (points)", "p", "Verdict"]
            .map(str::to_owned)
            .to_vec();
    header.extend(is_tuned(block).then(|| "Taken".to_owned()));
    header.extend(study.settles().then(|| "Look (seeds)".to_owned()));
    let rows = block.rows.iter().enumerate().map(|(index, row)| {
        let mut cells = result_cells(index == 0, row);
        cells.extend(is_tuned(block).then(|| taken_cell(row)));
        cells.extend(study.settles().then(|| look_cell(row)));
        cells
    });
    Grid { header, rows: rows.collect() }
}

fn is_tuned(block: &BlockSummary) -> bool {
    block.rows.iter().any(|row| row.variant.tuning.is_some())
}

fn result_cells(is_base: bool, row: &Row) -> Vec<String> {
    let mut cells = vec![
        row.variant.label.clone(),
        n_cell(row),
        scaled(row.spread(Measure::TestAccuracy), 100.0, 2),
        scaled(row.spread(Measure::TestLoss), 1.0, 3),
    ];
    let shift = row.shift.map_or(MISSING.to_owned(), |shift| signed(shift, 2));
    cells.extend(match row.difference() {
        _ if is_base => [MISSING, MISSING, MISSING, "base"].map(str::to_owned),
        None => [shift, MISSING.to_owned(), MISSING.to_owned(), row.verdict().word().to_owned()],
        Some(difference) => [
            shift,
            interval(difference),
            p_value(difference.p).trim_start_matches("= ").to_owned(),
            row.verdict().word().to_owned(),
        ],
    });
    cells
}

/// The values that a setting was tuned to, and whether the best lie at an end of what was tried.
pub fn taken_cell(row: &Row) -> String {
    let Some(tuning) = &row.variant.tuning else { return MISSING.to_owned() };
    match tuning.taken {
        Taken::Open => "still tried".to_owned(),
        Taken::Nothing => "none".to_owned(),
        Taken::Candidate(place) => {
            let edge = if tuning.at_edge { " (at the edge)" } else { "" };
            format!("{}{edge}", tuning.tried[place].label)
        }
    }
}

/// The mean of the selection metric on the validation images at each value that a setting tried. None where nothing is tuned.
pub fn tried(block: &BlockSummary) -> Option<Grid> {
    let longest = block.rows.iter().filter_map(|row| row.variant.tuning.as_ref()).max_by_key(|own| own.tried.len())?;
    let header = ["Setting".to_owned()].into_iter().chain(longest.tried.iter().map(|tried| tried.label.clone()));
    let header: Vec<String> = header.chain(["Taken".to_owned()]).collect();
    let mean = |row: &Row, place: usize| {
        let tried = row.variant.tuning.as_ref()?.tried.get(place)?;
        // Losses and shares alike.
        Some(minus(tried.mean?, 4))
    };
    let cells = |row: &Row| {
        let means = (0..header.len() - 2).map(|place| mean(row, place).unwrap_or(MISSING.to_owned()));
        [row.variant.label.clone()].into_iter().chain(means).chain([taken_cell(row)]).collect()
    };
    let rows = block.rows.iter().map(cells).collect();
    Some(Grid { header, rows })
}

/// How many seeds of the setting and of the base its verdict is from: `4 against 8`.
fn look_cell(row: &Row) -> String {
    match &row.comparison {
        Some(comparison) if comparison.seeds > 0 => format!("{} against {}", comparison.seeds, comparison.base_seeds),
        _ => MISSING.to_owned(),
    }
}

/// `3`, or `2, 1 of 3 diverged`
pub fn n_cell(row: &Row) -> String {
    row.count_label().replacen("n = ", "", 1)
}

/// Scores of the classes, each class counting alike.
pub fn class_means(block: &BlockSummary) -> Grid {
    const SCORES: [(&str, Measure); 4] = [
        ("Macro precision (%)", Measure::MacroPrecision),
        ("Macro recall (%)", Measure::MacroRecall),
        ("Macro specificity (%)", Measure::MacroSpecificity),
        ("Macro F1 (%)", Measure::MacroF1),
    ];
    let header = ["Setting", "n"].into_iter().chain(SCORES.map(|(name, _)| name)).map(str::to_owned).collect();
    let cells = |row: &Row| {
        let scores = SCORES.map(|(_, measure)| scaled(row.spread(measure), 100.0, 2));
        [row.variant.label.clone(), n_cell(row)].into_iter().chain(scores).collect()
    };
    Grid { header, rows: block.rows.iter().map(cells).collect() }
}

/// How soon validation accuracies are reached, and how far test lies behind training.
pub fn convergence(block: &BlockSummary, targets: &[f64]) -> Grid {
    let mut header: Vec<String> = ["Setting", "Selected epoch"].map(str::to_owned).to_vec();
    for target in targets {
        let percent = minus(100.0 * target, 0);
        header.extend([format!("Epochs to {percent} %"), format!("Seconds to {percent} %")]);
    }
    header.extend(
        ["Val. accuracy, mean over epochs (%)", "Accuracy gap (points)", "Loss gap", "Val. loss, last minus lowest"]
            .map(str::to_owned),
    );
    let cells = |row: &Row| {
        let mut cells = vec![row.variant.label.clone(), scaled(row.spread(Measure::BestEpoch), 1.0, 1)];
        for &target in targets {
            cells.push(reached(row, Measure::EpochsTo(target)));
            cells.push(reached(row, Measure::SecondsTo(target)));
        }
        cells.push(scaled(row.spread(Measure::CurveArea), 100.0, 1));
        cells.push(scaled(row.spread(Measure::AccuracyGap), 100.0, 1));
        cells.push(scaled(row.spread(Measure::LossGap), 1.0, 3));
        cells.push(scaled(row.spread(Measure::LossRise), 1.0, 3));
        cells
    };
    Grid { header, rows: block.rows.iter().map(cells).collect() }
}

/// What a network's size and training cost, and what they buy.
pub fn costs(block: &BlockSummary) -> Grid {
    let header = [
        "Setting",
        "Parameters",
        "Multiply-adds an image",
        "Epochs",
        "Seconds",
        "Images/s",
        "n",
        "Test accuracy (%)",
        "Accuracy gap (points)",
    ];
    let cells = |row: &Row| {
        let size = row.network().map(|table| [table.parameters(), table.multiply_adds()].map(grouped));
        let [parameters, multiply_adds] = size.unwrap_or([MISSING, MISSING].map(str::to_owned));
        vec![
            row.variant.label.clone(),
            parameters,
            multiply_adds,
            scaled(row.spread(Measure::Epochs), 1.0, 1),
            scaled(row.spread(Measure::Seconds), 1.0, 1),
            scaled(row.spread(Measure::ImagesPerSecond), 1.0, 0),
            n_cell(row),
            scaled(row.spread(Measure::TestAccuracy), 100.0, 2),
            scaled(row.spread(Measure::AccuracyGap), 100.0, 1),
        ]
    };
    Grid { header: header.map(str::to_owned).to_vec(), rows: block.rows.iter().map(cells).collect() }
}

pub fn scaled(spread: Option<Spread>, factor: f64, decimals: usize) -> String {
    spread.map_or(MISSING.to_owned(), |spread| mean_std(&spread, factor, decimals))
}

/// Over those trials that get there, whose number follows where it is not all.
fn reached(row: &Row, measure: Measure) -> String {
    match row.spread(measure) {
        Some(spread) if spread.n < row.n() => format!("{} ({} of {})", mean_std(&spread, 1.0, 1), spread.n, row.n()),
        None if row.n() > 0 => "never".to_owned(),
        spread => scaled(spread, 1.0, 1),
    }
}

/// What every table needs said about it, without markup.
fn note(study: &Study) -> String {
    format!(
        "{}, {}. Mean ± standard deviation over n seeds, of the weights of the selected epoch; failed and diverged trials are \
         in no mean. The intervals of a block's differences hold together with 95 % confidence{}; p is adjusted for the same. \
         Better and worse: the interval lies above or below 0; equivalent: within ±{} of it. Macro: the mean over the classes, \
         on the test images.",
        study.dataset_note,
        study.mode_label(),
        if study.settles() { ", over its settings and looks" } else { ", over its settings" },
        points_of_margin(study.margin),
    )
}

pub fn summary_md(study: &Study, blocks: &[BlockSummary]) -> String {
    let mut text = format!("# {}\n\n{}\n", markdown(&study.name), markdown(&note(study)));
    for block in blocks {
        text += &format!("\n## {}\n\n{}", markdown(study.title(block.block)), markdown_table(&results(study, block)));
        text += &format!("\n{}", markdown_table(&class_means(block)));
        text += &format!("\n{}", markdown_table(&convergence(block, &study.targets)));
        if block.compares_networks() {
            text += &format!("\n{}", markdown_table(&costs(block)));
        }
    }
    text
}

pub fn markdown_table(grid: &Grid) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| markdown(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let columns = 0..grid.header.len();
    let rule: String = columns.map(|column| if grid.is_numeric(column) { "---:|" } else { "---|" }).collect();
    let rule = format!("|{rule}\n");
    line(&grid.header) + &rule + &grid.rows.iter().map(|row| line(row)).collect::<String>()
}

/// Text that Markdown shows as it is, on one line.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '*' | '_' | '`' | '<' | '[' | ']' | '#' | '~' => escaped.extend(['\\', character]),
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A document that compiles with any LaTeX; the tables can be copied out of it.
pub fn summary_tex(study: &Study, blocks: &[BlockSummary]) -> String {
    let mut text = TEX_START.to_owned();
    text += &format!("\\section*{{{}}}\n{}\n", tex(&study.name), tex(&note(study)));
    for block in blocks {
        let base = block.base().and_then(|row| row.spread(Measure::TestAccuracy));
        let caption = |what: &str| {
            let title = study.title(block.block);
            tex(&format!("{title}: {what}. Base: {}, {}.", percent(base), study.data_label()))
        };
        text += &tex_table(block.block, "results", &caption("test results"), &results(study, block));
        text += &tex_table(block.block, "classes", &caption("means over the classes"), &class_means(block));
        for (part, targets) in target_groups(&study.targets).into_iter().enumerate() {
            let (kind, what) = (format!("convergence-{}", part + 1), "convergence and generalization");
            text += &tex_table(block.block, &kind, &caption(what), &convergence(block, targets));
        }
        if block.compares_networks() {
            text += &tex_table(block.block, "costs", &caption("size and cost"), &costs(block));
        }
    }
    text + "\\end{document}\n"
}

/// More targets do not fit beside each other on a page.
const TARGETS_ACROSS: usize = 3;

fn target_groups(targets: &[f64]) -> Vec<&[f64]> {
    if targets.is_empty() { vec![targets] } else { targets.chunks(TARGETS_ACROSS).collect() }
}

const TEX_START: &str = "\\documentclass[10pt,a4paper]{article}
\\usepackage[margin=12mm,landscape]{geometry}
\\usepackage{longtable,array}
\\setlength{\\LTcapwidth}{\\linewidth}
\\setlength{\\tabcolsep}{4pt}
\\setlength{\\extrarowheight}{1.5pt}
\\begin{document}
\\footnotesize
";

/// Of a table's width, for the settings' names.
const NAME_SHARE: f64 = 0.18;

/// Setting on the left and cut into lines; numbers share the rest of the line.
fn tex_table(block: &StudyBlock, kind: &str, caption: &str, grid: &Grid) -> String {
    let column = |align: &str, share: f64| {
        format!(">{{\\{align}\\arraybackslash}}p{{\\dimexpr {share:.4}\\linewidth-2\\tabcolsep}}")
    };
    let others = grid.header.len() - 1;
    let other = |place| if grid.is_numeric(place) { "raggedleft" } else { "raggedright" };
    let columns = (1..=others).map(|place| column(other(place), (1.0 - NAME_SHARE) / others as f64));
    let columns = column("raggedright", NAME_SHARE) + &columns.collect::<String>();
    // A count such as `2 of 3` stays on one line.
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| tex(cell).replace(" of ", "~of~")).collect();
        cells.join(" & ") + " \\\\\n"
    };
    let label = block.id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let mut text = format!("\n\\begin{{longtable}}{{{columns}}}\n");
    text += &format!("\\caption{{{caption}}}\\label{{tab:{label}-{kind}}}\\\\\n\\hline\n");
    // On the next page without the caption, whose label would be there twice.
    let header = line(&grid.header) + "\\hline";
    text += &format!("{header}\\endfirsthead\n\\hline\n{header}\\endhead\n");
    text.extend(grid.rows.iter().map(|row| line(row)));
    text + "\\hline\n\\end{longtable}\n"
}

/// Text that LaTeX prints as it is, with nothing but ASCII left for its input encoding to stumble over.
fn tex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Never first on a line.
            '%' if escaped.ends_with(' ') => escaped.replace_range(escaped.len() - 1.., "~\\%"),
            '&' | '%' | '$' | '#' | '{' | '}' => escaped.extend(['\\', character]),
            // A line may break after these, which long setting names need.
            '_' => escaped += "\\_\\allowbreak{}",
            '=' | '/' => escaped += &format!("{character}\\allowbreak{{}}"),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' | '>' | '|' => escaped += &format!("${character}$"),
            '±' => escaped += "$\\pm$",
            '−' => escaped += "$-$",
            '×' => escaped += "$\\times$",
            '·' => escaped += "$\\cdot$",
            '≤' => escaped += "$\\le$",
            '≥' => escaped += "$\\ge$",
            '–' => escaped += "--",
            '—' => escaped += "---",
            '…' => escaped += "\\dots{}",
            _ if character.is_control() => escaped.push(' '),
            _ if character.is_ascii() => escaped.push(character),
            _ => escaped += &greek(character).unwrap_or_else(|| format!("[U+{:04X}]", character as u32)),
        }
    }
    escaped
}

/// The small Greek letters that TeX has commands for.
fn greek(character: char) -> Option<String> {
    const NAMES: [(char, &str); 10] = [
        ('α', "alpha"),
        ('β', "beta"),
        ('γ', "gamma"),
        ('δ', "delta"),
        ('ε', "epsilon"),
        ('η', "eta"),
        ('λ', "lambda"),
        ('μ', "mu"),
        ('σ', "sigma"),
        ('τ', "tau"),
    ];
    let (_, name) = NAMES.iter().find(|(letter, _)| *letter == character)?;
    Some(format!("$\\{name}$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_label_is_text() {
        assert_eq!(markdown("a|b_c\n<i>"), "a\\|b\\_c \\<i>");
        assert_eq!(tex("50 % & λ_1 ≥ {x}"), "50~\\% \\& $\\lambda$\\_\\allowbreak{}1 $\\ge$ \\{x\\}");
        assert_eq!(tex("é"), "[U+00E9]");
    }

    #[test]
    fn latex_sets_the_summary_of_accidents_and_many_targets() {
        let mut study = crate::report::example::accidents();
        let variants = &mut study.blocks[0].variants;
        *variants = variants.iter().cycle().take(80).cloned().collect();
        study.name = "100 % of_{\\tables}".into();
        study.targets = (1..20).map(|target| f64::from(target) / 20.0).collect();
        let folder = tempfile::tempdir().unwrap();
        let blocks = crate::report::summary::summarize(&study);
        std::fs::write(folder.path().join("summary.tex"), summary_tex(&study, &blocks)).unwrap();
        let mut command = std::process::Command::new("pdflatex");
        command.args(["-interaction=nonstopmode", "-halt-on-error", "summary.tex"]).current_dir(folder.path());
        if command.output().is_err() {
            return crate::skip::skip("there is no pdflatex (apt-get install texlive-latex-base)");
        }
        // The second run knows the labels of the first.
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout);
        let complaint = ["Overfull", "multiply defined"].iter().find(|word| log.contains(**word));
        assert!(output.status.success() && complaint.is_none(), "{log}");
        assert!(folder.path().join("summary.pdf").exists());
    }
}
