//! Which calls buy the wanted days for the least of the weather service's quota.

use super::{FIRST_DAY, WeatherConfig};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use paceline_shared::db::weather_hours::{Cell, CellDay, Source};
use std::collections::BTreeMap;

/// Days of a call, over all its spans: about 1.1 MB of answer.
const DAYS_PER_CALL: i64 = 1_000;

/// Days of a span.
const LONGEST_SPAN: i64 = 366;

/// No call has more locations, whatever the configuration says: its URL stays below 8,000 bytes,
/// the least that proxies allow.
const LOCATIONS_AT_MOST: usize = 150;

/// Consecutive days of a cell, asked for as one location of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) cell: Cell,
    /// In order; the first and the last are the span's borders.
    pub(super) wanted: Vec<NaiveDate>,
}

impl Span {
    pub(super) fn first(&self) -> NaiveDate {
        self.wanted.first().copied().unwrap_or_default()
    }

    pub(super) fn last(&self) -> NaiveDate {
        self.wanted.last().copied().unwrap_or_default()
    }

    fn days(&self) -> i64 {
        days(self.first(), self.last())
    }
}

/// A request to the weather service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub(super) source: Source,
    pub(super) spans: Vec<Span>,
}

impl Call {
    /// Which of the service's halves is asked.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The days for which it asks.
    pub fn days(&self) -> impl Iterator<Item = CellDay> {
        self.spans
            .iter()
            .flat_map(|span| span.wanted.iter().map(|day| CellDay { cell: span.cell, day: *day }))
    }

    /// What the service counts for it, in calls.
    ///
    /// Each location counts `max(1, v/10, v/10 · d/14)` for `v` variables and `d` days; source: the
    /// service's pricing page and its rate limiter. So a span of 7 variables is as cheap with 20
    /// days as with one.
    #[must_use]
    pub fn weight(&self) -> f64 {
        let parts: u32 = self.spans.iter().map(|span| parts(self.source, span.days())).sum();
        f64::from(parts) / f64::from(PARTS)
    }
}

/// A weight is a whole number of these parts of a call.
const PARTS: u32 = 140;

fn parts(source: Source, days: i64) -> u32 {
    let variables = u32::try_from(super::variables(source).count()).unwrap_or(u32::MAX);
    let days = u32::try_from(days).unwrap_or(u32::MAX);
    variables.saturating_mul(days.max(14)).max(PARTS)
}

fn days(first: NaiveDate, last: NaiveDate) -> i64 {
    (last - first).num_days() + 1
}

/// The calls for `wanted`, each day of which can be had.
pub(super) fn plan(config: &WeatherConfig, wanted: &[CellDay], now: DateTime<Utc>) -> Vec<Call> {
    let border = now.date_naive() - TimeDelta::days(config.archive_after_days.into());
    let mut dates_of: BTreeMap<(bool, Cell), Vec<NaiveDate>> = BTreeMap::new();
    for at in wanted.iter().filter(|at| reachable(at.day, now)) {
        dates_of.entry((at.day < border, at.cell)).or_default().push(at.day);
    }
    let locations = config.locations_per_call.clamp(1, LOCATIONS_AT_MOST);
    let mut calls: Vec<Call> = Vec::new();
    let mut asked = 0;
    for ((old, cell), mut dates) in dates_of {
        let source = if old { Source::Archive } else { Source::Forecast };
        dates.sort_unstable();
        dates.dedup();
        for wanted in cheapest(source, &dates) {
            let span = Span { cell, wanted: wanted.to_vec() };
            asked += span.days();
            match calls.last_mut() {
                Some(call)
                    if call.source == source
                        && call.spans.len() < locations
                        && asked <= DAYS_PER_CALL =>
                {
                    call.spans.push(span);
                }
                _ => {
                    asked = span.days();
                    calls.push(Call { source, spans: vec![span] });
                }
            }
        }
    }
    calls
}

/// Whether the service can have a day: it begins in 1940, and the day must have begun.
#[must_use]
pub fn reachable(day: NaiveDate, now: DateTime<Utc>) -> bool {
    (FIRST_DAY..=now.date_naive()).contains(&day)
}

/// Cuts the sorted days of a cell into spans of the least weight; among equals, of the fewest days
/// and then the fewest spans.
///
/// `best[n]` is what the first `n` days cost and where the last of their spans begins.
fn cheapest(source: Source, dates: &[NaiveDate]) -> Vec<&[NaiveDate]> {
    let mut best: Vec<((u32, i64, u32), usize)> = vec![((0, 0, 0), 0)];
    for (last, until) in dates.iter().enumerate() {
        let spans = dates[..=last].iter().enumerate().rev();
        let cost = spans
            .map(|(first, from)| (first, days(*from, *until)))
            .take_while(|(_, days)| *days <= LONGEST_SPAN)
            .map(|(first, days)| {
                let (weight, all, count) = best[first].0;
                ((weight + parts(source, days), all + days, count + 1), first)
            })
            .min();
        best.extend(cost);
    }
    let mut spans = Vec::new();
    let mut end = dates.len();
    while end > 0 {
        let first = best[end].1;
        spans.push(&dates[first..end]);
        end = first;
    }
    spans.reverse();
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn now() -> DateTime<Utc> {
        NOW.parse().unwrap()
    }

    fn at(lat: i16, days_ago: i64) -> CellDay {
        CellDay { cell: Cell { lat, lon: 7 }, day: now().date_naive() - TimeDelta::days(days_ago) }
    }

    fn planned(days: &[CellDay]) -> Vec<Call> {
        plan(&WeatherConfig::default(), days, now())
    }

    fn spans(days: &[CellDay]) -> Vec<i64> {
        planned(days).iter().flat_map(|call| call.spans.iter().map(Span::days)).collect()
    }

    #[test]
    fn days_close_together_are_one_span_and_days_apart_are_two() {
        assert_eq!(
            spans(&[at(1, 1000), at(1, 981)]),
            [20],
            "20 days of 7 variables weigh one call"
        );
        assert_eq!(spans(&[at(1, 1000), at(1, 979)]), [22], "1.1, less than two calls");
        assert_eq!(spans(&[at(1, 1000), at(1, 960)]), [1, 1], "2.05, more than two calls");
        assert_eq!(spans(&[at(1, 1000), at(2, 1000)]), [1, 1], "cells are never merged");
    }

    #[test]
    fn a_span_is_never_dearer_than_its_parts() {
        // 26 and 14 days, 13 days apart: joined they would weigh 2.65, apart 1.3 + 1.
        let days: Vec<_> = (1000..1014).chain(1026..1052).map(|days_ago| at(1, days_ago)).collect();
        assert_eq!(spans(&days), [26, 14]);
    }

    #[test]
    fn old_days_go_to_the_archive_and_recent_ones_to_the_forecast_host() {
        let calls = planned(&[at(1, 90), at(1, 91), at(1, 0)]);
        let told: Vec<_> =
            calls.iter().map(|call| (call.source(), call.days().collect::<Vec<_>>())).collect();
        assert_eq!(
            told,
            [(Source::Forecast, vec![at(1, 90), at(1, 0)]), (Source::Archive, vec![at(1, 91)]),]
        );
    }

    #[test]
    fn what_cannot_be_had_is_not_asked_for() {
        let ancient = CellDay { day: "1939-12-31".parse().unwrap(), ..at(1, 0) };
        assert!(planned(&[at(1, -1), at(1, -400), ancient]).is_empty());
        assert!(planned(&[]).is_empty());
        assert!(reachable("1940-01-01".parse().unwrap(), now()));
    }

    #[test]
    fn a_call_has_no_more_locations_and_days_than_allowed() {
        let everywhere: Vec<_> = (0..250).map(|lat| at(lat, 1000)).collect();
        let sizes: Vec<_> = planned(&everywhere).iter().map(|call| call.spans.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let decade: Vec<_> = (100..3750).map(|days_ago| at(1, days_ago)).collect();
        let calls = planned(&decade);
        assert!(calls.iter().flat_map(|call| &call.spans).all(|span| span.days() <= LONGEST_SPAN));
        assert_eq!(calls.iter().map(|call| call.days().count()).sum::<usize>(), 3650);
        let weight: f64 = calls.iter().map(Call::weight).sum();
        assert!((weight - 3650.0 * 0.05).abs() < 1.0, "{weight}");
    }

    #[test]
    fn the_weight_is_the_published_one() {
        let weight = |days: &[CellDay]| planned(days)[0].weight();
        assert!((weight(&[at(1, 1000)]) - 1.0).abs() < 1e-9);
        let forty: Vec<_> = (1000..1040).map(|days_ago| at(1, days_ago)).collect();
        assert!((weight(&forty) - 0.7 * 40.0 / 14.0).abs() < 1e-9);
        let recent: Vec<_> = (0..28).map(|days_ago| at(1, days_ago)).collect();
        assert!((weight(&recent) - 0.9 * 2.0).abs() < 1e-9, "nine variables on the forecast host");
    }

    /// The least weight of any way to cut the days, found by trying them all.
    fn least(days: &[NaiveDate]) -> u32 {
        let Some((last, _)) = days.split_last() else { return 0 };
        (0..days.len())
            .map(|first| {
                least(&days[..first]) + parts(Source::Archive, super::days(days[first], *last))
            })
            .min()
            .unwrap()
    }

    proptest! {
        #[test]
        fn every_day_that_can_be_had_is_asked_for_once(
            wanted in prop::collection::vec((0..8_i16, -20..2000_i64), 0..200),
            locations in 1..20_usize,
        ) {
            let wanted: Vec<_> = wanted.into_iter().map(|(lat, ago)| at(lat, ago)).collect();
            let config = WeatherConfig { locations_per_call: locations, ..WeatherConfig::default() };
            let calls = plan(&config, &wanted, now());
            let asked: Vec<CellDay> = calls.iter().flat_map(Call::days).collect();
            let once: BTreeSet<CellDay> = asked.iter().copied().collect();
            prop_assert_eq!(asked.len(), once.len());
            let expected: BTreeSet<CellDay> =
                wanted.into_iter().filter(|at| reachable(at.day, now())).collect();
            prop_assert_eq!(once, expected);
            for call in calls {
                prop_assert!(call.spans.len() <= locations);
                prop_assert!(call.spans.iter().map(Span::days).sum::<i64>() <= DAYS_PER_CALL);
                let border = now().date_naive() - TimeDelta::days(90);
                let old = call.source() == Source::Archive;
                prop_assert!(call.days().all(|at| (at.day < border) == old));
            }
        }

        #[test]
        fn no_other_cut_weighs_less(ago in prop::collection::btree_set(100..260_i64, 0..12)) {
            let dates: Vec<NaiveDate> = ago.iter().rev().map(|ago| at(1, *ago).day).collect();
            let cut: u32 = cheapest(Source::Archive, &dates)
                .iter()
                .map(|span| parts(Source::Archive, days(span[0], span[span.len() - 1])))
                .sum();
            prop_assert_eq!(cut, least(&dates));
        }
    }
}
