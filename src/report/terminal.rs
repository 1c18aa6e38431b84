//! A table for a terminal: aligned columns, and no line longer than the terminal is wide.

use super::table::MISSING;
use crate::spec::{Cell, Kind};
use crate::words::without_middle;
use console::{Alignment, measure_text_width, pad_str};

/// Between two columns.
const GAP: usize = 2;
/// Longer cells lose their middle where there is a terminal to fit into.
const WIDEST_CELL: usize = 40;

/// One column of a table. It is set to the right where every cell is a number.
#[derive(Clone)]
pub struct Column {
    pub header: String,
    /// One a row, all columns alike.
    pub cells: Vec<Cell>,
    /// Where there is not room for all, the columns with the lowest ranks stay.
    pub rank: usize,
}

impl Column {
    /// An empty cell is a dash.
    pub fn new(header: &str, cells: impl IntoIterator<Item = Cell>, rank: usize) -> Column {
        let shown = |cell: Cell| if cell.text.is_empty() { Cell::number(MISSING) } else { cell };
        Column { header: header.to_owned(), cells: cells.into_iter().map(shown).collect(), rank }
    }
}

/// The lines of a table, its header first.
pub struct Lines {
    /// One line, or two where headers are wider than their cells.
    pub header: Vec<String>,
    pub rows: Vec<String>,
    /// The headers of columns for which there was no room.
    pub left_out: Vec<String>,
}

/// Lines of at most `width` columns of a terminal; without a width every column in full.
pub fn lay_out(columns: &[Column], width: Option<usize>) -> Lines {
    let drawn: Vec<Drawn> = columns.iter().map(|column| Drawn::new(column, width.is_some())).collect();
    let shown = chosen(columns, &drawn, width.unwrap_or(usize::MAX));
    let line = |cell: &dyn Fn(&Drawn) -> String| {
        let columns = shown.iter().map(|&index| &drawn[index]);
        let padded = columns.map(|column| pad_str(&cell(column), column.width, column.alignment, None).into_owned());
        let cells: Vec<String> = padded.collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    let header = [0, 1].into_iter().map(|row| line(&|column| column.header[row].clone()));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    Lines {
        header: header.filter(|line| !line.is_empty()).collect(),
        rows: (0..rows).map(|row| line(&|column| column.cells[row].clone())).collect(),
        left_out: (0..columns.len()).filter(|i| !shown.contains(i)).map(|i| columns[i].header.clone()).collect(),
    }
}

/// Which columns fit, in their order: one after another by rank, the first always.
fn chosen(columns: &[Column], drawn: &[Drawn], width: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|&index| columns[index].rank);
    let (mut shown, mut used) = (vec![], 0);
    for index in order {
        let more = drawn[index].width + if shown.is_empty() { 0 } else { GAP };
        if shown.is_empty() || used + more <= width {
            shown.push(index);
            used += more;
        }
    }
    shown.sort_unstable();
    shown
}

/// A column as it will be printed.
struct Drawn {
    /// The upper line is empty where one is enough.
    header: [String; 2],
    cells: Vec<String>,
    width: usize,
    alignment: Alignment,
}

impl Drawn {
    fn new(column: &Column, narrow: bool) -> Drawn {
        let cut = |cell: &Cell| if narrow { without_middle(&cell.text, WIDEST_CELL) } else { cell.text.clone() };
        let cells: Vec<String> = column.cells.iter().map(cut).collect();
        let body = cells.iter().map(|cell| measure_text_width(cell)).max().unwrap_or(0);
        let header = if narrow { folded(&column.header, body) } else { [String::new(), column.header.clone()] };
        let width = header.iter().map(|line| measure_text_width(line)).fold(body, usize::max);
        let is_numeric = column.cells.iter().all(|cell| cell.kind == Kind::Number);
        let alignment = if is_numeric { Alignment::Right } else { Alignment::Left };
        Drawn { header, cells, width, alignment }
    }
}

/// A header on two lines if it is wider than `width` and has a joint that makes it narrower.
fn folded(header: &str, width: usize) -> [String; 2] {
    let joints = header.char_indices().filter(|(_, c)| matches!(c, '_' | '.' | ' ')).map(|(at, _)| at + 1);
    let narrowest = joints.min_by_key(|&at| header[..at].len().max(header[at..].len()));
    match narrowest.filter(|_| measure_text_width(header) > width) {
        Some(at) => [header[..at].to_owned(), header[at..].to_owned()],
        None => [String::new(), header.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("id", ["16bd7b2bbeec", "7a41b71603c4"].map(Cell::text), 0),
            Column::new("init", ["xavier_uniform", ""].map(Cell::text), 2),
            Column::new("test_accuracy", ["57.16%", "5.47%"].map(Cell::number), 1),
        ]
    }

    fn text(lines: Lines) -> Vec<String> {
        lines.header.into_iter().chain(lines.rows).collect()
    }

    #[test]
    fn a_pipe_gets_every_column_under_one_line_of_header() {
        let expected = [
            "id            init            test_accuracy",
            "16bd7b2bbeec  xavier_uniform         57.16%",
            "7a41b71603c4  –                       5.47%",
        ];
        assert_eq!(text(lay_out(&columns(), None)), expected);
    }

    #[test]
    fn a_terminal_gets_folded_headers() {
        let expected = [
            "                                 test_",
            "id            init            accuracy",
            "16bd7b2bbeec  xavier_uniform    57.16%",
            "7a41b71603c4  –                  5.47%",
        ];
        assert_eq!(text(lay_out(&columns(), Some(80))), expected);
    }

    #[test]
    fn the_least_important_columns_give_way_and_are_named() {
        let lines = lay_out(&columns(), Some(30));
        assert_eq!(lines.left_out, ["init"]);
        assert!(lines.header.iter().chain(&lines.rows).all(|line| measure_text_width(line) <= 30));
        assert!(lines.rows[0].ends_with("57.16%"));
    }

    #[test]
    fn long_cells_are_cut_on_a_terminal_alone() {
        let long = || [Column::new("error", [Cell::text("x".repeat(100))], 0)];
        assert_eq!(lay_out(&long(), Some(80)).rows[0], format!("{}…{}", "x".repeat(19), "x".repeat(19)));
        assert_eq!(lay_out(&long(), None).rows[0].len(), 100);
    }
}
