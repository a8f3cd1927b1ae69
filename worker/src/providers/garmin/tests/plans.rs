//! What a sync reads: windows of upload time, requests for history, marks.

use super::super::{
    SCOPES,
    kind::{Kind, Stream},
    plan::{Mark, Step, plan},
};
use crate::providers::Ask;
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::{JobType, db::connection_coverage::Coverage};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

pub(super) const DAY: i64 = 86_400;

pub(super) fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub(super) fn all_scopes() -> Vec<String> {
    SCOPES.map(str::to_owned).into()
}

pub(super) fn ask<'a>(
    job_type: JobType,
    scopes: &'a [String],
    coverage: &'a [Coverage],
    only_new: bool,
) -> Ask<'a> {
    let range = PgRange { start: Bound::Unbounded, end: Bound::Unbounded };
    Ask { job_type, range, only_new, coverage, scopes, profile: None, now: now() }
}

pub(super) fn first(ask: &Ask<'_>) -> Step {
    serde_json::from_value(plan(ask).first.unwrap()).unwrap()
}

fn marked(stream: Stream, mark: &Mark) -> Coverage {
    Coverage { stream: stream.name().to_owned(), spans: vec![], mark: Some(mark.value()) }
}

/// Takes all steps, with everything granted; answers the requests, the windows and the marks.
type Taken = (Vec<(Kind, i64, i64)>, Vec<(Kind, i64, i64)>, Vec<(Stream, Mark)>);
fn take(mut step: Step, now: DateTime<Utc>) -> Taken {
    let (mut requests, mut windows, mut marks) = (vec![], vec![], vec![]);
    while let Some(wanted) = step.request(now) {
        requests.push((wanted.kind, wanted.from, wanted.to));
        step.requested(wanted);
    }
    while let Some((kind, (from, to))) = step.window(now.timestamp()) {
        windows.push((kind, from, to));
        marks.extend(step.read(to));
    }
    assert!(step.is_over());
    (requests, windows, marks)
}

#[test]
fn each_job_type_reads_its_lists() {
    let names = |job_type| {
        let scopes = all_scopes();
        let step = first(&ask(job_type, &scopes, &[], true));
        step.lists.iter().map(|list| list.stream.name()).collect::<Vec<_>>()
    };
    assert_eq!(names(JobType::Activities), ["activities"]);
    assert_eq!(names(JobType::Workouts), ["moveIQActivities"]);
    let health = ["dailies", "sleeps", "bodyComps", "bloodPressures", "userMetrics"];
    assert_eq!(names(JobType::Health), health);
    assert_eq!(names(JobType::All).len(), 7);
    let scopes = all_scopes();
    for other in [JobType::Measurements, JobType::Daily] {
        assert_eq!(plan(&ask(other, &scopes, &[], true)).first, None);
    }
}

#[test]
fn windows_neither_overlap_by_a_second_nor_leave_one_out() {
    let scopes = all_scopes();
    let (_, windows, _) = take(first(&ask(JobType::Health, &scopes, &[], true)), now());
    let of: Vec<_> = windows.iter().filter(|(kind, ..)| *kind == Kind::Dailies).collect();
    assert_eq!(of.len(), 8, "a week, and the second in which it ends");
    assert_eq!(of[0].1, now().timestamp() - 7 * DAY);
    assert_eq!(of.last().unwrap().2, now().timestamp());
    for pair in of.windows(2) {
        assert_eq!(pair[1].1, pair[0].2 + 1);
    }
    assert!(of.iter().all(|(_, from, to)| to - from < DAY), "24 hours with both ends at most");
}

#[test]
fn a_first_sync_asks_for_as_much_history_as_there_can_be_in_pieces_that_are_allowed() {
    let scopes = all_scopes();
    let step = first(&ask(JobType::All, &scopes, &[], true));
    let (requests, _, marks) = take(step, now());
    for (kind, from, to) in &requests {
        let days = if kind.stream() == Stream::Activities || *kind == Kind::MoveIqActivities {
            30
        } else {
            90
        };
        assert!(to - from <= days * DAY, "{kind:?}");
    }
    let of = |kind| requests.iter().filter(move |(of, ..)| *of == kind);
    assert_eq!(
        (of(Kind::Activities).count(), of(Kind::ManuallyUpdatedActivities).count()),
        (61, 61)
    );
    assert_eq!(of(Kind::Sleeps).count(), 9);
    let floor = (now() - TimeDelta::days(730) + TimeDelta::hours(1)).timestamp();
    assert_eq!(of(Kind::Sleeps).next().unwrap().1, floor, "Garmin refuses what is older");
    assert_eq!(of(Kind::Sleeps).next_back().unwrap().2, now().timestamp());
    assert_eq!(marks.len(), 7);
    for (stream, mark) in marks {
        assert_eq!(mark.uploads, Some(now().timestamp()), "{stream:?}");
        assert_eq!(mark.history.len(), 1, "{mark:?}");
    }
}

#[test]
fn the_next_sync_asks_for_no_history_and_reads_on_from_the_mark() {
    let scopes = all_scopes();
    let (_, _, marks) = take(first(&ask(JobType::All, &scopes, &[], true)), now());
    let coverage: Vec<_> = marks.iter().map(|(stream, mark)| marked(*stream, mark)).collect();
    for later in [TimeDelta::minutes(3), TimeDelta::days(2), TimeDelta::days(6)] {
        let ask = Ask { now: now() + later, ..ask(JobType::All, &scopes, &coverage, true) };
        let (requests, windows, marks) = take(first(&ask), ask.now);
        assert_eq!(requests, [], "{later}");
        assert!(windows.iter().all(|(_, from, _)| *from >= now().timestamp() - 3_600));
        assert_eq!(marks[0].1.uploads, Some(ask.now.timestamp()));
        assert_eq!(marks[0].1.history.len(), 1, "{:?}", marks[0]);
    }
}

#[test]
fn a_gap_that_is_longer_than_uploads_are_kept_is_filled_by_history() {
    let scopes = all_scopes();
    let (_, _, marks) = take(first(&ask(JobType::Health, &scopes, &[], true)), now());
    let coverage: Vec<_> = marks.iter().map(|(stream, mark)| marked(*stream, mark)).collect();
    let later = now() + TimeDelta::days(40);
    let ask = Ask { now: later, ..ask(JobType::Health, &scopes, &coverage, true) };
    let (requests, windows, marks) = take(first(&ask), later);
    let gap = now().timestamp();
    let sleeps: Vec<_> = requests.iter().filter(|(kind, ..)| *kind == Kind::Sleeps).collect();
    assert_eq!(
        sleeps,
        [&(Kind::Sleeps, gap - 14 * DAY, gap), &(Kind::Sleeps, gap, later.timestamp())],
        "what was asked for before may be declined: the gap stands alone"
    );
    assert_eq!(windows[0].1, later.timestamp() - 7 * DAY);
    assert_eq!(marks[0].1.history.len(), 1);
}

#[test]
fn what_was_not_granted_is_left_out_and_nothing_at_all_is_no_empty_sync() {
    let some = ["HEALTH_EXPORT".to_owned()];
    let step = first(&ask(JobType::All, &some, &[], true));
    assert!(step.wanted.is_empty(), "no history without its permission");
    assert!(step.lists.iter().all(|list| list.stream.permission() == "HEALTH_EXPORT"));
    let none = first(&ask(JobType::Activities, &some, &[], true));
    assert!(none.is_over() && none.withheld == ["ACTIVITY_EXPORT"]);
}

#[test]
fn history_that_was_never_granted_is_asked_for_once_it_is() {
    let some = ["HEALTH_EXPORT".to_owned()];
    let (_, _, marks) = take(first(&ask(JobType::Health, &some, &[], true)), now());
    let coverage: Vec<_> = marks.iter().map(|(stream, mark)| marked(*stream, mark)).collect();
    let scopes = all_scopes();
    let later =
        Ask { now: now() + TimeDelta::days(1), ..ask(JobType::Health, &scopes, &coverage, true) };
    let (requests, ..) = take(first(&later), later.now);
    let sleeps: Vec<_> = requests.iter().filter(|(kind, ..)| *kind == Kind::Sleeps).collect();
    assert_eq!(sleeps.len(), 9);
    assert_eq!(sleeps.last().unwrap().2, now().timestamp() - 7 * DAY, "the week was read");
}

#[test]
fn a_span_of_the_past_is_asked_for_and_leaves_the_mark_where_it_was() {
    let scopes = all_scopes();
    let mark = Mark { uploads: Some(now().timestamp() - 3 * DAY), history: vec![] };
    let coverage = [marked(Stream::Sleeps, &mark)];
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
    let range = PgRange { start: Bound::Included(from), end: Bound::Excluded(to) };
    let ask = Ask { range, ..ask(JobType::Health, &scopes, &coverage, false) };
    let (requests, windows, marks) = take(first(&ask), now());
    assert!(requests.contains(&(Kind::Sleeps, from.timestamp(), to.timestamp())));
    assert!(windows.iter().all(|(_, from, _)| *from == now().timestamp() - 3_600), "{windows:?}");
    let (_, sleeps) = marks.iter().find(|(stream, _)| *stream == Stream::Sleeps).unwrap();
    assert_eq!(sleeps.uploads, mark.uploads);
    assert_eq!(sleeps.history, [(from.timestamp(), to.timestamp())]);
    let never = Ask {
        range: PgRange {
            start: Bound::Unbounded,
            end: Bound::Excluded(at("2019-01-01T00:00:00Z")),
        },
        ..ask.clone()
    };
    assert_eq!(plan(&never).first, None, "Garmin has nothing that is so old");
    let few = ["HEALTH_EXPORT".to_owned()];
    let withheld = first(&Ask { scopes: &few, ..ask });
    assert!(withheld.is_over() && withheld.withheld == ["HISTORICAL_DATA_EXPORT"]);
}

#[test]
fn the_steps_of_a_plan_are_as_many_as_are_taken() {
    let scopes = all_scopes();
    for job_type in [JobType::All, JobType::Activities, JobType::Health] {
        let ask = ask(job_type, &scopes, &[], true);
        let (requests, windows, _) = take(first(&ask), now());
        let steps = usize::try_from(plan(&ask).steps.unwrap()).unwrap();
        let taken = requests.len() + windows.len();
        assert!(steps >= taken && steps - taken <= 7, "{steps} told, {taken} taken");
    }
}
