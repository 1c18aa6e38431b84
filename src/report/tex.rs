//! `summary.tex`: every block's tables, to be put into a document, and `report.tex`, a document of them.

use super::block_tables::{class_means, convergence, costs, results, unreached_words};
use super::measure::Measure;
use super::statistics::percent;
use super::study::Study;
use super::summary::BlockSummary;
use super::summary_pages::note;
use super::table::Table;

/// More targets do not fit beside each other on a page.
const TARGETS_ACROSS: usize = 3;
/// Of a table's width, for the settings' names.
const NAME_SHARE: f64 = 0.16;

const HEAD: &str = r"% These tables go into any document by \input{summary}, which needs, before its \begin{document}:
% \usepackage{booktabs,longtable,array}
% \usepackage[T1,OT1]{fontenc} % for letters beyond ASCII, unless XeLaTeX or LuaLaTeX sets it
";

/// A letter beyond ASCII, as it is where the fonts have it, else by its number.
const LETTER: &str = r##"\providecommand{\runnerletter}[2]{\ifdefined\Umathchar\iffontchar\font"#1 #2\else[U+#1]\fi\else
  \ifcsname T@T1\endcsname\ifcsname u8:\detokenize{#2}\endcsname{\fontencoding{T1}\selectfont#2}\else[U+#1]\fi
  \else[U+#1]\fi\fi}
"##;

/// Any LaTeX sets it.
pub fn report_tex(study: &Study) -> String {
    let (name, note) = (tex(&study.name), tex(&note(study)));
    format!(
        r#"\documentclass[10pt,a4paper]{{article}}
\usepackage[margin=12mm,landscape]{{geometry}}
\usepackage{{booktabs,longtable,array}}
\ifdefined\Umathchar\else\usepackage[T1,OT1]{{fontenc}}\fi
\setlength{{\tabcolsep}}{{3pt}}
{LETTER}\begin{{document}}
\setlength{{\LTcapwidth}}{{\linewidth}}
\footnotesize
\section*{{{name}}}
{note}
\input{{summary}}
\end{{document}}
"#
    )
}

pub fn summary_tex(study: &Study, blocks: &[BlockSummary]) -> String {
    let mut text = format!("{HEAD}{LETTER}");
    for block in blocks {
        let base = block.base().and_then(|row| row.spread(Measure::TestAccuracy));
        let title = study.title(block.block);
        let mut add = |kind: &str, what: &str, table: Table| {
            let caption = format!("{title}: {what}. Base: {}, {}.", percent(base), study.data_label());
            text += &tex_table(&label(study, block, kind), &tex(&caption), &table);
        };
        add("results", "test results", results(study, block));
        add("classes", "means over the classes", class_means(block));
        let unreached = unreached_words(block, &study.targets).map_or(String::new(), |words| format!(". {words}"));
        let what = format!("convergence and generalization{}", unreached.trim_end_matches('.'));
        let groups = study.targets.chunks(TARGETS_ACROSS).chain(study.targets.is_empty().then_some(&[][..]));
        for (part, targets) in groups.enumerate() {
            add(&format!("convergence-{}", part + 1), &what, convergence(block, targets));
        }
        if block.compares_networks() {
            add("costs", "size and cost", costs(block));
        }
    }
    text
}

/// `tab:lenet_ablation:optimizer:results`, which no other table has, also where those of several studies meet.
fn label(study: &Study, block: &BlockSummary, kind: &str) -> String {
    let name = study.name.replace(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)), "-");
    format!("tab:{name}:{}:{kind}", block.block.id)
}

/// Setting on the left and cut into lines; numbers share the rest of the line.
/// `caption` is LaTeX already.
fn tex_table(label: &str, caption: &str, table: &Table) -> String {
    let column = |align: &str, share: f64| {
        // Rounded down, so that all together are not too wide.
        let share = (share * 1e4).floor() / 1e4;
        format!(">{{\\{align}\\arraybackslash}}p{{\\dimexpr {share:.4}\\linewidth-2\\tabcolsep}}")
    };
    let others = table.header.len() - 1;
    let other = |place| if table.is_numeric(place) { "raggedleft" } else { "raggedright" };
    let columns = (1..=others).map(|place| column(other(place), (1.0 - NAME_SHARE) / others as f64));
    let columns = column("raggedright", NAME_SHARE) + &columns.collect::<String>();
    // A count such as `2 of 3` stays on one line.
    let cell = |text: &String| tex(text).replace(" of ", "~of~");
    let line = |cells: Vec<String>| cells.join(" & ") + " \\\\\n";
    let mut text = format!("\n\\begin{{longtable}}{{{columns}}}\n");
    text += &format!("\\caption{{{caption}}}\\label{{{label}}}\\\\\n\\toprule\n");
    // On the next page without the caption, whose label would be there twice.
    let header = line(table.header.iter().map(cell).collect()) + "\\midrule";
    text += &format!("{header}\n\\endfirsthead\n\\toprule\n{header}\n\\endhead\n\\bottomrule\n\\endfoot\n");
    text.extend(table.rows.iter().map(|row| line(row.iter().map(|own| cell(&own.text)).collect())));
    text + "\\end{longtable}\n"
}

/// Text that LaTeX prints as it is, whatever stands before it.
fn tex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.trim().chars() {
        match character {
            // Never first on a line.
            '%' if escaped.ends_with(' ') => escaped.replace_range(escaped.len() - 1.., "~\\%"),
            // After the end of a row these would be its options.
            '[' | '*' if escaped.is_empty() => escaped += &format!("{{{character}}}"),
            // No ligature.
            '-' | '\'' | ',' if escaped.ends_with(character) => escaped += &format!("\\/{character}"),
            '&' | '%' | '$' | '#' | '{' | '}' => escaped.extend(['\\', character]),
            _ if character.is_control() => escaped.push(' '),
            _ => match MACROS.iter().find(|(known, _)| *known == character) {
                Some((_, written)) => escaped += written,
                None if character.is_ascii() => escaped.push(character),
                None => escaped += &format!("\\runnerletter{{{:04X}}}{{{character}}}", character as u32),
            },
        }
    }
    escaped
}

const MACROS: &[(char, &str)] = &[
    ('`', "\\`{}"),
    ('"', "{\\ttfamily\\char34}"),
    // A line may break after these, which long setting names need.
    ('_', "\\_\\allowbreak{}"),
    ('=', "=\\allowbreak{}"),
    ('/', "/\\allowbreak{}"),
    ('\\', "\\textbackslash{}"),
    ('~', "\\textasciitilde{}"),
    ('^', "\\textasciicircum{}"),
    ('<', "$<$"),
    ('>', "$>$"),
    ('|', "$|$"),
    ('±', "$\\pm$"),
    ('−', "$-$"),
    ('×', "$\\times$"),
    ('·', "$\\cdot$"),
    ('≤', "$\\le$"),
    ('≥', "$\\ge$"),
    ('–', "--"),
    ('—', "---"),
    ('…', "\\dots{}"),
    ('α', "$\\alpha$"),
    ('β', "$\\beta$"),
    ('γ', "$\\gamma$"),
    ('δ', "$\\delta$"),
    ('ε', "$\\epsilon$"),
    ('η', "$\\eta$"),
    ('λ', "$\\lambda$"),
    ('μ', "$\\mu$"),
    ('σ', "$\\sigma$"),
    ('τ', "$\\tau$"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_label_is_text() {
        assert_eq!(tex("50 % & λ_1 ≥ {x}"), "50~\\% \\& $\\lambda$\\_\\allowbreak{}1 $\\ge$ \\{x\\}");
        assert_eq!(tex("é"), "\\runnerletter{00E9}{é}");
    }
}
