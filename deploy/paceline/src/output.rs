//! Standard output: data, and nothing but data. Everything else goes to the [`crate::screen`].

use crate::exit::Ending;
use anyhow::Context as _;
use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{self, ErrorKind, Write as _};

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON object
    Json,
    /// A JSON object a line, one for each change
    Jsonl,
}

/// Writes text, which ends its own lines.
///
/// Fails with [`Ending::BrokenPipe`] when the reader has gone.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Ending::BrokenPipe.into()),
        written => written.context("writing to standard output"),
    }
}

/// Writes a line.
pub(crate) fn line(line: &str) -> anyhow::Result<()> {
    text(&format!("{line}\n"))
}

/// Writes an object in one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value).context("a value cannot be written as JSON")?)
}

/// A table without ruling: columns of numbers to the right, the others to the left.
pub(crate) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let is_number = |cell: &String| {
        cell.split_whitespace().next().is_some_and(|word| word.parse::<f64>().is_ok())
    };
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header)
        .add_rows(&rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        if rows.iter().all(|row| row.get(column.index).is_some_and(is_number)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["demo-1", "1000", "queued"]), row(["total", "9 of 10", "done"])];
        assert_eq!(
            table(["user", "stored", "state"], rows),
            "user     stored  state\ndemo-1     1000  queued\ntotal   9 of 10  done\n"
        );
    }
}
