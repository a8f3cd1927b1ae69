//! `connection_coverage`: what of each of a provider's lists was read completely at least once, and where its
//! list of changes goes on.

use super::{Db, Error};
use crate::ConnectionId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, postgres::types::PgRange};
use std::ops::Bound;

/// Times from one on, included, to another, excluded; `None` is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Included.
    pub from: Option<DateTime<Utc>>,
    /// Excluded.
    pub to: Option<DateTime<Utc>>,
}

impl From<PgRange<DateTime<Utc>>> for Span {
    /// A border that a range leaves out is taken as if it were in, and the other way round: this differs by an
    /// instant that no provider's clock resolves.
    fn from(range: PgRange<DateTime<Utc>>) -> Self {
        let border = |bound| match bound {
            Bound::Included(at) | Bound::Excluded(at) => Some(at),
            Bound::Unbounded => None,
        };
        Self { from: border(range.start), to: border(range.end) }
    }
}

impl From<Span> for PgRange<DateTime<Utc>> {
    fn from(span: Span) -> Self {
        Self {
            start: span.from.map_or(Bound::Unbounded, Bound::Included),
            end: span.to.map_or(Bound::Unbounded, Bound::Excluded),
        }
    }
}

/// What is covered of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The list.
    pub stream: String,
    /// In order, without overlap.
    pub spans: Vec<Span>,
    /// Where the list of changes goes on, in the provider's own terms.
    pub mark: Option<Value>,
}

/// What of `within` no span covers, in order.
#[must_use]
pub fn gaps(covered: &[Span], within: Span) -> Vec<Span> {
    let earlier = |a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>| match (a, b) {
        (Some(a), Some(b)) => a < b,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    let mut gaps = Vec::new();
    let mut from = within.from;
    for span in covered {
        // A span's `None` start is before everything, its `None` end behind everything.
        if let (Some(to), Some(at)) = (span.to, from)
            && to <= at
        {
            continue;
        }
        if let (Some(start), Some(end)) = (span.from, within.to)
            && start >= end
        {
            break;
        }
        if earlier(from, span.from) {
            gaps.push(Span { from, to: span.from });
        }
        let Some(to) = span.to else { return gaps };
        from = Some(from.map_or(to, |at| at.max(to)));
    }
    if within.to.is_none_or(|end| from.is_none_or(|at| at < end)) {
        gaps.push(Span { from, to: within.to });
    }
    gaps
}

/// What is covered of a connection's lists.
pub async fn of(db: &Db, connection: ConnectionId) -> Result<Vec<Coverage>, Error> {
    let rows = sqlx::query!(
        r#"select stream, mark, array(select unnest(covered)) as "covered!: Vec<PgRange<DateTime<Utc>>>"
             from paceline.connection_coverage where connection_id = $1 order by stream"#,
        connection.0
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Coverage {
            stream: row.stream,
            spans: row.covered.into_iter().map(Span::from).collect(),
            mark: row.mark,
        })
        .collect())
}

/// Adds what was read completely; a mark replaces the one before. Part of the transaction that ends the read.
pub async fn add(
    tx: &mut PgConnection,
    connection: ConnectionId,
    coverage: &[Coverage],
) -> Result<(), Error> {
    for list in coverage {
        let spans: Vec<PgRange<DateTime<Utc>>> =
            list.spans.iter().map(|span| PgRange::from(*span)).collect();
        sqlx::query!(
            "insert into paceline.connection_coverage as c (connection_id, stream, covered, mark)
             values ($1, $2, coalesce((select range_agg(r) from unnest($3::tstzrange[]) r), '{}'), $4)
             on conflict (connection_id, stream) do update
               set covered = c.covered + excluded.covered, mark = coalesce(excluded.mark, c.mark),
                   updated_at = clock_timestamp()",
            connection.0,
            list.stream,
            &spans,
            list.mark
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(hour * 3600, 0)
    }

    fn span(from: Option<i64>, to: Option<i64>) -> Span {
        Span { from: from.and_then(at), to: to.and_then(at) }
    }

    #[test]
    fn gaps_are_what_is_between() {
        let covered = [span(Some(2), Some(4)), span(Some(6), Some(8))];
        let within = |from, to| gaps(&covered, span(from, to));
        assert_eq!(
            within(Some(0), Some(10)),
            [span(Some(0), Some(2)), span(Some(4), Some(6)), span(Some(8), Some(10))]
        );
        assert_eq!(within(Some(2), Some(4)), []);
        assert_eq!(within(Some(3), Some(7)), [span(Some(4), Some(6))]);
        assert_eq!(
            within(None, None),
            [span(None, Some(2)), span(Some(4), Some(6)), span(Some(8), None)]
        );
        assert_eq!(within(Some(8), Some(9)), [span(Some(8), Some(9))]);
    }

    #[test]
    fn what_is_covered_without_end_leaves_no_gap() {
        assert_eq!(gaps(&[span(None, None)], span(Some(1), None)), []);
        assert_eq!(gaps(&[span(None, Some(3))], span(None, Some(5))), [span(Some(3), Some(5))]);
        assert_eq!(gaps(&[span(Some(3), None)], span(None, Some(5))), [span(None, Some(3))]);
        assert_eq!(gaps(&[], span(None, None)), [span(None, None)]);
    }
}
