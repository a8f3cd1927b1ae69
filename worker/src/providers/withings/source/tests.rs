use super::*;
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

const NOW: &str = "2026-11-21T12:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn scopes() -> Vec<String> {
    super::super::SCOPES.map(str::to_owned).into()
}

fn ask<'a>(
    job_type: JobType,
    scopes: &'a [String],
    coverage: &'a [Coverage],
    only_new: bool,
) -> Ask<'a> {
    Ask {
        job_type,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        only_new,
        coverage,
        scopes,
        profile: None,
        now: at(NOW),
    }
}

fn covered(stream: Stream, mark: i64) -> Coverage {
    Coverage {
        stream: stream.name().to_owned(),
        spans: vec![Span { from: None, to: Some(at("2026-11-20T12:00:00Z")) }],
        mark: Some(mark.into()),
    }
}

fn chain(plan: &Plan) -> Vec<Part> {
    plan.first.as_ref().map_or(vec![], |first| Step::deserialize(first).unwrap().parts)
}

#[test]
fn a_first_sync_reads_the_whole_history_of_every_list_by_time() {
    let plan = plan(&ask(JobType::All, &scopes(), &[], true));
    let parts = chain(&plan);
    assert_eq!(parts.iter().map(|part| part.stream).collect::<Vec<_>>(), Stream::ALL);
    for part in &parts {
        assert_eq!(part.what, What::Span { from: None, to: at(NOW) });
        assert_eq!(part.mark, Some(at(NOW).timestamp()));
    }
    assert_eq!((plan.replaces.len(), plan.covers.len()), (4, 4));
    assert_eq!(plan.steps, None);
}

#[test]
fn each_job_type_reads_its_lists() {
    let scopes = scopes();
    let of = |job_type| {
        let parts = chain(&plan(&ask(job_type, &scopes, &[], true)));
        parts.into_iter().map(|part| part.stream).collect::<Vec<_>>()
    };
    assert_eq!(of(JobType::Measurements), [Stream::Measures]);
    assert_eq!(of(JobType::Activities), [Stream::Workouts]);
    assert_eq!(of(JobType::Daily), [Stream::Activity, Stream::Sleep]);
    assert_eq!(of(JobType::Health), []);
}

#[test]
fn partial_consent_leaves_a_list_out_and_never_asks_for_it() {
    let only = |scope: &str| vec![scope.to_owned()];
    let parts = chain(&plan(&ask(JobType::All, &only("user.metrics"), &[], true)));
    assert_eq!(parts.iter().map(|part| part.stream).collect::<Vec<_>>(), [Stream::Measures]);
    let parts = chain(&plan(&ask(JobType::All, &only("user.activity"), &[], true)));
    assert_eq!(
        parts.iter().map(|part| part.stream).collect::<Vec<_>>(),
        [Stream::Workouts, Stream::Activity, Stream::Sleep]
    );
    let nothing = plan(&ask(JobType::All, &only("user.info"), &[], true));
    assert_eq!(nothing, Plan::default());
}

#[test]
fn late_uploads_are_read_by_change_and_deletions_by_a_window_read_again() {
    let covered = [covered(Stream::Measures, 1_700_000_000)];
    let plan = plan(&ask(JobType::Measurements, &scopes(), &covered, true));
    let parts = chain(&plan);
    assert_eq!(parts.len(), 2);
    let from = Some(at("2026-10-22T12:00:00Z"));
    assert_eq!(parts[0].what, What::Span { from, to: at(NOW) });
    assert_eq!(parts[0].mark, Some(at(NOW).timestamp()), "from before anything was read");
    assert_eq!(parts[1].what, What::Since(1_700_000_000 - OVERLAP_S));
    assert_eq!(parts[1].mark, None);
    assert_eq!(plan.replaces.len(), 1);
    assert_eq!((plan.replaces[0].from, plan.replaces[0].to), (from, at(NOW)));
}

#[test]
fn a_range_that_is_read_by_time_does_not_move_the_mark_past_changes_elsewhere() {
    let scopes = scopes();
    let covered = [covered(Stream::Measures, 1_700_000_000)];
    let mut ask = ask(JobType::Measurements, &scopes, &covered, false);
    ask.range = PgRange {
        start: Bound::Included(at("2020-01-01T00:00:00Z")),
        end: Bound::Excluded(at("2021-01-01T00:00:00Z")),
    };
    let parts = chain(&plan(&ask));
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].mark, None);
    ask.range = PgRange { start: Bound::Unbounded, end: Bound::Unbounded };
    assert!(chain(&plan(&ask))[0].mark.is_some(), "who has read all knows all changes");
    ask.coverage = &[];
    ask.range =
        PgRange { start: Bound::Unbounded, end: Bound::Excluded(at("2021-01-01T00:00:00Z")) };
    assert!(chain(&plan(&ask))[0].mark.is_some(), "before it, nothing was read");
}

#[test]
fn spans_are_asked_for_with_room_at_both_ends() {
    let what =
        What::Span { from: Some(at("2026-01-10T23:30:00Z")), to: at("2026-02-01T00:00:00Z") };
    let asked = |pairs: Vec<(&str, String)>| {
        pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&")
    };
    assert_eq!(asked(Stream::Measures.when(what)), "startdate=1768087799&enddate=1769904001");
    assert_eq!(asked(Stream::Sleep.when(what)), "startdateymd=2026-01-08&enddateymd=2026-02-03");
    let ever = What::Span { from: None, to: at("2026-02-01T00:00:00Z") };
    assert_eq!(asked(Stream::Workouts.when(ever)), "startdateymd=1970-01-01&enddateymd=2026-02-03");
    assert_eq!(asked(Stream::Activity.when(What::Since(5))), "lastupdate=5");
}

#[test]
fn a_step_goes_on_within_its_list_then_to_the_next_one() {
    let part = |stream| Part { stream, what: What::Since(5), mark: None };
    let step = Step { parts: vec![part(Stream::Measures), part(Stream::Sleep)], offset: 0 };
    let second = Step::deserialize(&step.next(Some(300)).unwrap()).unwrap();
    assert_eq!((second.offset, second.parts.len()), (300, 2));
    let other = Step::deserialize(&second.next(None).unwrap()).unwrap();
    assert_eq!((other.offset, other.parts.clone()), (0, vec![part(Stream::Sleep)]));
    assert_eq!(other.next(None), None);
}
