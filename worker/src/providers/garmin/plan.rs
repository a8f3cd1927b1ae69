//! What a sync reads and in which order: pure, but for the clock that its caller reads.
//!
//! Garmin gives what was *uploaded* in a window of at most a day, and forgets uploads after a week. What is older must
//! be asked for, is uploaded once more some time later, and nothing tells when. So a sync first asks for the history
//! that it wants and never had, pauses once, and then reads the windows of upload time from where the last sync ended.
//! What was late for it has a later time of upload, and the next sync finds it there.
//!
//! How far a list is read is in its mark alone: what was to be read turns out on the way, where permissions are gone.

use super::{
    HISTORICAL_DATA_EXPORT,
    kind::{Kind, Stream},
};
use crate::providers::{
    source::{Ask, Plan},
    spans,
};
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::db::connection_coverage::{Span, gaps};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A window of upload time holds a day at most: with both ends included, as many seconds as a day has.
const WINDOW_S: i64 = 86_400;

/// Uploads are kept for so long.
const KEPT: TimeDelta = TimeDelta::days(7);

/// Windows begin so much before where the last sync ended: that was by the clock of the worker that read, and clocks
/// differ. What is read again is equal.
const OVERLAP: TimeDelta = TimeDelta::hours(1);

/// After a gap in the uploads that were read, history is asked for from so much before it: what was uploaded in the gap
/// may have begun before.
const LOOK_BACK: TimeDelta = TimeDelta::days(14);

/// The history that may be asked for ends at an instant that moves on while a sync waits.
const FLOOR_MARGIN: TimeDelta = TimeDelta::hours(1);

/// How far a list is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// All uploads up to then were read, Unix seconds; `None`: none yet.
    pub(super) uploads: Option<i64>,
    /// Times at which the records began that were read or asked for, in order.
    pub(super) history: Vec<(i64, i64)>,
}

impl Mark {
    /// Adds a span of times.
    pub(super) fn cover(&mut self, from: i64, to: i64) {
        self.history.push((from, to));
        self.history.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(self.history.len());
        for &(from, to) in &self.history {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        self.history = merged;
    }

    pub(super) fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// History of a type that is still to be asked for: when it began, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// A list whose uploads are still to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct List {
    pub(super) stream: Stream,
    /// Its endpoints.
    pub(super) kinds: Vec<Kind>,
    /// Which of them is next.
    pub(super) nth: usize,
    /// Where the first window began.
    pub(super) began: i64,
    /// Where the next one begins.
    pub(super) from: i64,
    /// Whether these windows go on where those of the last sync ended.
    pub(super) goes_on: bool,
    /// How far it is read.
    pub(super) mark: Mark,
}

/// All that is still to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) wanted: Vec<Wanted>,
    /// When history that was asked for may be there, by the clock of the worker that asked. Another's may differ: the
    /// pause is shorter or longer by that, and whatever is missed is found by the next sync.
    pub(super) until: Option<DateTime<Utc>>,
    pub(super) lists: Vec<List>,
    /// Where the last windows end, once the first one is read.
    pub(super) end: Option<i64>,
    /// Whether any list was read.
    pub(super) has_read: bool,
    /// Permissions that were missing.
    pub(super) withheld: Vec<String>,
    /// Steps after this one, as they were told last.
    pub(super) left: i32,
}

impl Step {
    pub(super) fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Steps that there are, by what is known at `now`.
    pub(super) fn count(&self, now: i64) -> i32 {
        let requests = |wanted: &Wanted| {
            let seconds = wanted.kind.stream().request().num_seconds();
            (wanted.to - wanted.from + seconds - 1) / seconds
        };
        let windows = |list: &List| {
            let end = self.end.unwrap_or(now).max(list.from);
            let kinds = i64::try_from(list.kinds.len()).unwrap_or(i64::MAX);
            let read = i64::try_from(list.nth).unwrap_or(0);
            (end - list.from) / WINDOW_S * kinds + kinds - read
        };
        let all = self.wanted.iter().map(requests).sum::<i64>()
            + self.lists.iter().map(windows).sum::<i64>();
        i32::try_from(all).unwrap_or(i32::MAX)
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        self.wanted.is_empty() && self.lists.is_empty()
    }

    /// The next request for history, as far back as may be asked for at `now`.
    pub(super) fn request(&mut self, now: DateTime<Utc>) -> Option<Wanted> {
        loop {
            let wanted = self.wanted.first_mut()?;
            let stream = wanted.kind.stream();
            let floor = (now - stream.history() + FLOOR_MARGIN).timestamp();
            wanted.from = wanted.from.max(floor);
            if wanted.from < wanted.to {
                let to = wanted.to.min(wanted.from + stream.request().num_seconds());
                return Some(Wanted { to, ..*wanted });
            }
            self.wanted.remove(0);
        }
    }

    /// A request was accepted, now or before.
    pub(super) fn requested(&mut self, done: Wanted) {
        if let Some(wanted) = self.wanted.first_mut() {
            wanted.from = done.to;
            if wanted.from >= wanted.to {
                self.wanted.remove(0);
            }
        }
        let list = self.lists.iter_mut().find(|list| list.stream == done.kind.stream());
        // One endpoint of several has its history: the others are asked in this sync too.
        if let Some(list) = list
            && list.kinds.last() == Some(&done.kind)
        {
            list.mark.cover(done.from, done.to);
        }
    }

    /// The next window, both its seconds included.
    pub(super) fn window(&mut self, now: i64) -> Option<(Kind, (i64, i64))> {
        let end = *self.end.get_or_insert(now);
        let list = self.lists.first()?;
        let kind = *list.kinds.get(list.nth)?;
        // The next one begins a second later: no upload is in two windows, and none between.
        Some((kind, (list.from, (list.from + WINDOW_S - 1).min(end.max(list.from)))))
    }

    /// A window was read. Answers the mark of the list that is read by now.
    pub(super) fn read(&mut self, to: i64) -> Option<(Stream, Mark)> {
        self.has_read = true;
        let end = self.end.unwrap_or(to);
        let list = self.lists.first_mut()?;
        list.nth += 1;
        if list.nth < list.kinds.len() {
            return None;
        }
        (list.nth, list.from) = (0, to + 1);
        if list.from <= end {
            return None;
        }
        let List { stream, began, goes_on, mut mark, .. } = self.lists.remove(0);
        if goes_on {
            mark.uploads = Some(end);
            // What began since then cannot have been uploaded before.
            mark.cover(began, end);
        }
        Some((stream, mark))
    }

    /// Leaves a list out for the rest of this sync.
    pub(super) fn leave_out(&mut self, stream: Stream) {
        self.wanted.retain(|wanted| wanted.kind.stream() != stream);
        self.lists.retain(|list| list.stream != stream);
        let permission = stream.permission();
        if !self.withheld.iter().any(|name| name == permission) {
            self.withheld.push(permission.to_owned());
        }
    }

    /// Leaves out what only history has.
    pub(super) fn without_history(&mut self) {
        self.wanted.clear();
        self.lists.retain(|list| list.goes_on);
    }

    /// Leaves an endpoint out for the rest of this sync.
    pub(super) fn skip(&mut self, kind: Kind) {
        let of_stream = |wanted: &&Wanted| wanted.kind.stream() == kind.stream();
        let others_wait = self.wanted.iter().filter(of_stream).any(|wanted| wanted.kind != kind);
        let list = self.lists.iter_mut().find(|list| list.stream == kind.stream());
        if let Some(list) = list
            && !others_wait
            && list.kinds.len() > 1
        {
            // The other endpoints have been asked for all of it.
            for wanted in self.wanted.iter().filter(|wanted| wanted.kind == kind) {
                list.mark.cover(wanted.from, wanted.to);
            }
        }
        self.wanted.retain(|wanted| wanted.kind != kind);
        for list in &mut self.lists {
            let before = list.kinds.iter().take(list.nth).filter(|of| **of == kind).count();
            list.nth -= before;
            list.kinds.retain(|of| *of != kind);
        }
        self.lists.retain(|list| !list.kinds.is_empty());
    }
}

/// What a sync reads.
pub(super) fn plan(ask: &Ask<'_>) -> Plan {
    let mut step = Step::default();
    for stream in Stream::of(ask.job_type) {
        if is_granted(ask, stream.permission()) {
            add(&mut step, ask, stream);
        } else if !step.withheld.iter().any(|name| name == stream.permission()) {
            step.withheld.push(stream.permission().to_owned());
        }
    }
    if step.is_over() && step.withheld.is_empty() {
        return Plan::default();
    }
    let steps = step.count(ask.now.timestamp());
    step.left = steps;
    Plan { first: Some(step.value()), steps: Some(steps), ..Plan::default() }
}

fn is_granted(ask: &Ask<'_>, permission: &str) -> bool {
    ask.scopes.iter().any(|scope| scope == permission)
}

/// Adds what is to be read of a list.
fn add(step: &mut Step, ask: &Ask<'_>, stream: Stream) {
    let mark: Mark = spans::mark(ask.coverage, stream.name())
        .and_then(|mark| Mark::deserialize(mark).ok())
        .unwrap_or_default();
    let reach = ask.now - KEPT;
    let since = mark.uploads.and_then(|at| DateTime::from_timestamp(at, 0)).map(|at| at - OVERLAP);
    let since = since.filter(|since| *since >= reach);

    let asked = Span::from(ask.range);
    let to = asked.to.map_or(ask.now, |to| to.min(ask.now));
    let floor = ask.now - stream.history();
    let within = Span { from: Some(asked.from.map_or(floor, |at| at.max(floor))), to: Some(to) };
    let is_past = within.from.is_some_and(|from| from >= to);

    let history = if is_past { vec![] } else { history(ask, &mark, since, within) };
    let can_ask = is_granted(ask, HISTORICAL_DATA_EXPORT);
    if can_ask {
        for kind in stream.kinds() {
            step.wanted.extend(history.iter().map(|(from, to)| Wanted {
                kind: *kind,
                from: *from,
                to: *to,
            }));
        }
    }
    // What was uploaded lately may be of any time, but a span of the past is not the place to look for it.
    let is_recent = to >= reach;
    if !is_recent && (history.is_empty() || !can_ask) {
        if !history.is_empty() && !step.withheld.iter().any(|name| name == HISTORICAL_DATA_EXPORT) {
            step.withheld.push(HISTORICAL_DATA_EXPORT.to_owned());
        }
        return;
    }
    let from = match since {
        _ if !is_recent => ask.now - OVERLAP,
        Some(since) if ask.only_new => since,
        _ => reach,
    };
    let from = from.timestamp();
    step.lists.push(List {
        stream,
        kinds: stream.kinds().to_vec(),
        nth: 0,
        began: from,
        from,
        goes_on: is_recent,
        mark,
    });
}

/// The spans of history that are to be asked for. `since`: from where uploads go on, where they do.
fn history(
    ask: &Ask<'_>,
    mark: &Mark,
    since: Option<DateTime<Utc>>,
    within: Span,
) -> Vec<(i64, i64)> {
    let at = |seconds: i64| DateTime::from_timestamp(seconds, 0);
    let gap = match (mark.uploads.and_then(at), since) {
        (Some(gap), None) => Some(gap),
        _ => None,
    };
    let wanted = if ask.only_new {
        // Of what was read before a gap in the uploads, its end is read again.
        let until = gap.map_or(ask.now, |gap| gap - LOOK_BACK);
        let mut covered: Vec<Span> = mark
            .history
            .iter()
            .filter_map(|&(from, to)| {
                let (from, to) = (at(from)?, at(to)?.min(until));
                (from < to).then_some(Span { from: Some(from), to: Some(to) })
            })
            .collect();
        // What has begun since then can have been uploaded only since then.
        covered.extend(since.map(|since| Span { from: Some(since), to: None }));
        gaps(&covered, within)
    } else {
        vec![within]
    };
    let mut history = Vec::new();
    for span in wanted {
        let from = span.from.map_or(0, |from| from.timestamp());
        let to = span.to.map_or(0, |to| to.timestamp());
        // Garmin declines what it was asked for before: what comes after the gap is a request of its own.
        match gap.map(|gap| gap.timestamp()).filter(|gap| from < *gap && *gap < to) {
            Some(gap) => history.extend([(from, gap), (gap, to)]),
            None => history.push((from, to)),
        }
    }
    history.retain(|(from, to)| from < to);
    history
}
