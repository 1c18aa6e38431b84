//! Markdown: text that it shows as it is, and tables.

use super::table::Table;

/// Without a line's end after the last row.
pub fn markdown_table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let columns = 0..table.header.len();
    let rule: String = columns.map(|column| if table.is_numeric(column) { "---:|" } else { "---|" }).collect();
    let header = line(table.header.iter().map(|name| markdown(name)).collect());
    let rows = table.rows.iter().map(|row| line(row.iter().map(|cell| markdown(&cell.text)).collect()));
    [header, format!("|{rule}")].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_label_is_text() {
        assert_eq!(markdown("a|b_c\n<i>"), "a\\|b\\_c \\<i>");
    }
}
