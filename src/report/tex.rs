//! LaTeX: text that it prints as it is, and tables.

use super::table::Table;

/// Of a document that compiles with any LaTeX; the tables can be copied out of it.
pub const START: &str = "\\documentclass[10pt,a4paper]{article}
\\usepackage[margin=12mm,landscape]{geometry}
\\usepackage{longtable,array}
\\setlength{\\LTcapwidth}{\\linewidth}
\\setlength{\\tabcolsep}{4pt}
\\setlength{\\extrarowheight}{1.5pt}
\\begin{document}
\\footnotesize
";

pub const END: &str = "\\end{document}\n";

/// Of a table's width, for the settings' names.
const NAME_SHARE: f64 = 0.18;

/// Setting on the left and cut into lines; numbers share the rest of the line.
/// `caption` is LaTeX already.
pub fn tex_table(label: &str, caption: &str, table: &Table) -> String {
    let column = |align: &str, share: f64| {
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
    text += &format!("\\caption{{{caption}}}\\label{{tab:{label}}}\\\\\n\\hline\n");
    // On the next page without the caption, whose label would be there twice.
    let header = line(table.header.iter().map(cell).collect()) + "\\hline";
    text += &format!("{header}\\endfirsthead\n\\hline\n{header}\\endhead\n");
    text.extend(table.rows.iter().map(|row| line(row.iter().map(|own| cell(&own.text)).collect())));
    text + "\\hline\n\\end{longtable}\n"
}

/// Text that LaTeX prints as it is, with nothing but ASCII left for its input encoding to stumble over.
pub fn tex(text: &str) -> String {
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
        assert_eq!(tex("50 % & λ_1 ≥ {x}"), "50~\\% \\& $\\lambda$\\_\\allowbreak{}1 $\\ge$ \\{x\\}");
        assert_eq!(tex("é"), "[U+00E9]");
    }
}
