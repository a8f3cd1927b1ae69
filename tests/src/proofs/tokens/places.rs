//! Where a secret could stand: logs, answers, and every row of every table as text.

use super::forms::{Search, forms};
use anyhow::{Context as _, Result};
use paceline_shared::db::Db;
use paceline_tests::process::Process;
use std::collections::BTreeSet;

/// Text of one place.
pub(super) struct Text {
    pub(super) place: String,
    pub(super) text: String,
}

impl Text {
    pub(super) fn of_log(process: &Process) -> Self {
        Self { place: format!("the log of {}", process.name()), text: process.log() }
    }
}

/// Every table and the queue of statements, as text; bytes as they are where they are letters.
pub(super) async fn tables(db: &Db) -> Result<Vec<Text>> {
    let mut connection = db.pool().acquire().await?;
    sqlx::query("set bytea_output = 'escape'").execute(&mut *connection).await?;
    let names: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables
          where schemaname not in ('pg_catalog', 'information_schema') order by 1",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tables = Vec::new();
    for name in names {
        // The name is Postgres's own, quoted by it.
        let rows = sqlx::AssertSqlSafe(format!("select t::text from {name} as t"));
        let rows: Vec<String> = sqlx::query_scalar(rows)
            .fetch_all(&mut *connection)
            .await
            .with_context(|| format!("reading {name}"))?;
        tables.push(Text { place: name, text: rows.join("\n") });
    }
    sqlx::query("reset bytea_output").execute(&mut *connection).await?;
    Ok(tables)
}

/// A line a secret and place. The secret itself is not repeated.
pub(super) fn find(search: &Search, texts: &[Text]) -> Vec<String> {
    let found = texts.iter().flat_map(|Text { place, text }| {
        let numbers = search.within(text).into_iter();
        numbers.map(move |number| format!("secret {number} stands in {place}"))
    });
    found.collect()
}

/// Puts a secret into a log's text and an answer's, and in each of its forms into a table, as letters and as bytes.
/// Answers how many findings that is.
pub(super) async fn plant(
    db: &Db,
    secrets: &BTreeSet<String>,
    texts: &mut Vec<Text>,
) -> Result<usize> {
    let secret = secrets.iter().next_back().context("there are no secrets")?;
    let mut planted = 0;
    let spoken = |text: &&mut Text| text.place.contains("log") || text.place == "answers";
    for text in texts.iter_mut().filter(spoken) {
        text.text.push_str("\nDEBUG refreshed with refresh_token=");
        text.text.push_str(secret);
        planted += 1;
    }
    let mut plots = Vec::new();
    for (number, form) in forms(secret).into_iter().enumerate() {
        for kind in ["text", "bytea"] {
            let name = format!("planted_{number}_{kind}");
            let made = format!("create table paceline.{name} (id int, value {kind})");
            sqlx::raw_sql(sqlx::AssertSqlSafe(made)).execute(db).await?;
            let row =
                format!("insert into paceline.{name} values (1, convert_from($1, 'UTF8')::{kind})");
            let row = if kind == "text" {
                row
            } else {
                row.replace("convert_from($1, 'UTF8')::bytea", "$1")
            };
            sqlx::query(sqlx::AssertSqlSafe(row)).bind(form.as_bytes()).execute(db).await?;
            plots.push(format!("paceline.{name}"));
        }
    }
    let of_plots = tables(db).await?.into_iter().filter(|text| plots.contains(&text.place));
    texts.extend(of_plots);
    planted += plots.len();
    Ok(planted)
}
