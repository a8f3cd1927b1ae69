//! A provider's calls in this process: what is in stock, how stock is got, and what becomes of it.

use super::{
    Process,
    block::Blocked,
    breaker::{Breaker, State as BreakerState},
    gate::Door,
    keeper,
    pool::{Bucket, Key, Pool, Returned, Taken},
    tally::Tally,
    terms::{Call, RATE_LIMIT, Reading, Terms},
};
use crate::providers::http::{Closed, Gate};
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use paceline_shared::db::{
    self,
    budgets::{self, Reserved, Told, Window},
};
use reqwest::StatusCode;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A call waits so long in its job's slot, for a border or for what others give back. Then the job is parked.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// How often it looks whether others gave something back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A job that found everything reserved by others comes back after this.
const COME_BACK: Duration = Duration::from_secs(2);
/// Jobs that wait for a window do not all come back at its first instant, but within this or a tenth of it.
const SPREAD: Duration = Duration::from_secs(4);

/// A provider's meter. Clones share it.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Inner>);

impl Meter {
    pub(super) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// The gate for calls of this kind.
    #[must_use]
    pub fn gate(&self, call: &Call) -> Arc<dyn Gate> {
        let mut windows: Vec<Window> = self
            .0
            .terms
            .windows
            .iter()
            .filter(|window| call.scopes.contains(&window.scope.as_str()))
            .chain(&call.user)
            .cloned()
            .collect();
        windows.sort();
        let user = call.user.first().map(|window| window.scope.clone());
        let key = Key { kind: call.kind, tier: call.tier, user };
        Arc::new(Door { meter: self.0.clone(), windows, key, past_breaker: call.past_breaker })
    }
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) terms: Terms,
    pub(super) process: Arc<Process>,
    state: Mutex<State>,
    pace: DefaultDirectRateLimiter,
    /// One probe at a time.
    probe: Arc<Semaphore>,
    /// One wish at a time: what it brings may be enough for all who wait. And none while an account is told, for
    /// that says what is open.
    pub(super) asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pools: HashMap<Key, Pool>,
    pub(super) tally: Tally,
    pub(super) breaker: Breaker,
    /// The limits as last told.
    pub(super) limits: HashMap<(String, i32), i32>,
    /// When Postgres last heard what is reserved.
    pub(super) contact: Instant,
    /// The windows are known to Postgres.
    pub(super) ensured: bool,
    /// What the lane was last blocked with.
    pub(super) blocked: Option<Blocked>,
}

impl State {
    pub(super) fn give_back(&mut self, returned: Returned) {
        for (slots, calls) in returned {
            self.tally.returned(&slots, calls);
        }
    }
}

impl Inner {
    pub(super) fn new(terms: Terms, process: Arc<Process>) -> Self {
        let limits =
            terms.windows.iter().map(|w| ((w.scope.clone(), w.window_s), w.limit)).collect();
        let state = State {
            pools: HashMap::new(),
            tally: Tally::default(),
            breaker: Breaker::default(),
            limits,
            contact: Instant::now(),
            ensured: false,
            blocked: None,
        };
        Self {
            pace: RateLimiter::direct(Quota::per_second(terms.calls_per_second)),
            terms,
            process,
            state: Mutex::new(state),
            probe: Arc::new(Semaphore::new(1)),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn in this process.
    pub(super) async fn keep_pace(&self) {
        while let Err(not_yet) = self.pace.check() {
            tokio::time::sleep(not_yet.wait_time_from(DefaultClock::default().now())).await;
        }
    }

    /// Past the breaker: with a permit, as the one probe.
    pub(super) async fn pass_breaker(&self) -> Result<Option<OwnedSemaphorePermit>, Closed> {
        let mut permit = None;
        loop {
            let state = self.state().breaker.state;
            let until = match state {
                BreakerState::Closed => return Ok(None),
                BreakerState::Open(until) => until,
                BreakerState::ProbedElsewhere(until) => {
                    until.min(Instant::now() + self.process.rules.pause)
                }
                BreakerState::Probing if permit.is_some() => return Ok(permit),
                BreakerState::Probing => {
                    // Whoever comes next sees what this probe found out.
                    permit = self.probe.clone().acquire_owned().await.ok();
                    continue;
                }
            };
            let after = until.saturating_duration_since(Instant::now());
            return Err(self.wait("breaker_open", after, self.terms.provider.as_str().to_owned()));
        }
    }

    pub(super) fn wait(&self, reason: &'static str, after: Duration, scope: String) -> Closed {
        metrics::counter!("paceline_provider_waits_total",
            "provider" => self.terms.provider.as_str(), "reason" => reason)
        .increment(1);
        Closed::Wait { reason, after, scope }
    }

    /// A reserved call: from the stock, or asked for. Asks ahead when the stock is low.
    pub(super) async fn reserved(self: &Arc<Self>, door: &Door) -> Result<Taken, Closed> {
        if let Some(taken) = self.take(door) {
            return Ok(taken);
        }
        self.state().pools.entry(door.key.clone()).or_default().waiting += 1;
        let _waiting = Waiting { meter: self, key: &door.key };
        let patient_until = Instant::now() + PATIENCE;
        loop {
            let asked = self.ask_to_the_end(door).await.map_err(Closed::Unmetered)?;
            if let Some(taken) = self.take(door) {
                return Ok(taken);
            }
            let (reason, after, scope, pause) = match asked {
                // Others who waited were faster.
                None | Some(Reserved::Granted { .. }) => continue,
                // The window is there by now.
                Some(Reserved::Unknown) => (RATE_LIMIT, COME_BACK, String::new(), LOOK_AGAIN),
                Some(Reserved::Spent { scope, window_s, wait, .. }) => {
                    let spread =
                        SPREAD.min(Duration::from_secs(window_s.unsigned_abs().into()) / 10);
                    let after = wait + spread.mul_f64(fastrand::f64());
                    return Err(self.wait(door.reason(&scope, window_s), after, scope));
                }
                Some(Reserved::Border { wait }) => (RATE_LIMIT, COME_BACK, String::new(), wait),
                Some(Reserved::Held { scope, window_s, wait }) => {
                    let soon = COME_BACK.min(wait);
                    (door.reason(&scope, window_s), soon, scope, wait.min(LOOK_AGAIN))
                }
            };
            if Instant::now() + pause > patient_until {
                return Err(self.wait(reason, after, scope));
            }
            tokio::time::sleep(pause.mul_f64(1.0 + fastrand::f64() / 8.0)).await;
        }
    }

    fn take(self: &Arc<Self>, door: &Door) -> Option<Taken> {
        let mut state = self.state();
        let (now, contact) = (Instant::now(), state.contact);
        let pool = state.pools.get_mut(&door.key)?;
        let taken = pool.take(now, contact);
        if taken.is_some() && pool.is_low() {
            pool.refilling = true;
            let (meter, door) = (self.clone(), door.clone());
            tokio::spawn(async move {
                // Whoever needs the call asks again and hears the same.
                let _not_yet = meter.ask_more(&door).await;
                if let Some(pool) = meter.state().pools.get_mut(&door.key) {
                    pool.refilling = false;
                }
            });
        }
        taken
    }

    /// As [`Self::ask`], also when the caller's job is stopped meanwhile: what is granted has an owner.
    async fn ask_to_the_end(self: &Arc<Self>, door: &Door) -> Result<Option<Reserved>, db::Error> {
        let (meter, door) = (self.clone(), door.clone());
        match tokio::spawn(async move { meter.ask(&door).await }).await {
            Ok(asked) => asked,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and this with it.
                Err(_aborted) => std::future::pending().await,
            },
        }
    }

    /// Asks for stock; `None` if there is some by the time that it is this call's turn.
    async fn ask(&self, door: &Door) -> Result<Option<Reserved>, db::Error> {
        let _turn = self.asking.lock().await;
        let in_stock = {
            let mut state = self.state();
            let (now, contact) = (Instant::now(), state.contact);
            let pool = state.pools.entry(door.key.clone()).or_default();
            let returned = pool.expire(now, contact);
            let left = pool.left();
            state.give_back(returned);
            left
        };
        if in_stock > 0 {
            return Ok(None);
        }
        self.reserve(door).await.map(Some)
    }

    async fn ask_more(&self, door: &Door) -> Result<Reserved, db::Error> {
        let _turn = self.asking.lock().await;
        self.reserve(door).await
    }

    async fn reserve(&self, door: &Door) -> Result<Reserved, db::Error> {
        let Process { db, worker, .. } = &*self.process;
        if !self.state().ensured {
            db::answered_soon(budgets::ensure(db, &self.terms.windows)).await?;
            self.state().ensured = true;
        }
        if self.state().tally.is_owed() {
            keeper::account(self).await?;
        }
        let (want, seq, asked) = {
            let mut state = self.state();
            let want = state.pools.entry(door.key.clone()).or_default().wish();
            (want, state.tally.next_seq(), Instant::now())
        };
        let percent = door.key.tier.percent();
        let wish = budgets::reserve(db, (*worker, seq), &door.windows, want, percent);
        let answer = match db::answered_soon(wish).await {
            Ok(answer) => answer,
            Err(error) => {
                let mut state = self.state();
                for window in &door.windows {
                    state.tally.doubt(&window.scope, window.window_s);
                }
                return Err(error);
            }
        };
        match &answer {
            Reserved::Granted { calls, slots, as_of, valid_for } => {
                let bucket = Bucket {
                    left: *calls,
                    asked,
                    valid_for: *valid_for,
                    granted: Instant::now(),
                    as_of: *as_of,
                    slots: slots.as_slice().into(),
                };
                let mut state = self.state();
                state.tally.reserved(slots, *calls);
                state.pools.entry(door.key.clone()).or_default().add(bucket);
            }
            Reserved::Unknown => db::answered_soon(budgets::ensure(db, &door.windows)).await?,
            Reserved::Spent { scope, window_s, until, .. }
                if door.key.user.as_ref() != Some(scope) =>
            {
                let reason = door.reason(scope, *window_s);
                self.block(door.key.tier, *until, reason, scope).await?;
            }
            Reserved::Spent { .. } | Reserved::Border { .. } | Reserved::Held { .. } => {}
        }
        Ok(answer)
    }

    /// A call has ended, or nobody knows. `heard`: the head of its answer.
    pub(super) fn made(&self, taken: &Taken, heard: Option<&(StatusCode, Vec<Reading>)>) {
        let refused = heard.is_some_and(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS);
        let mut state = self.state();
        let mut full = Vec::new();
        let mut news = refused;
        let mut told: Vec<Option<Told>> = taken
            .slots
            .iter()
            .map(|slot| {
                let nth = self.nth(&slot.scope, slot.window_s);
                let (_, readings) = heard?;
                let reading =
                    readings.iter().find(|r| r.scope == slot.scope && Some(r.nth) == nth)?;
                Some(Told { used: reading.used, limit: reading.limit, sent_at: taken.sent_at })
            })
            .collect();
        if refused && told.iter().flatten().all(|told| told.used < told.limit) {
            // It says no and not why: the window that opens first is spent.
            let first = taken.slots.iter().enumerate().min_by_key(|(_, slot)| slot.window_s);
            if let Some((n, slot)) = first {
                let limit = told[n]
                    .map(|told| told.limit)
                    .or_else(|| state.limits.get(&(slot.scope.clone(), slot.window_s)).copied());
                let limit = limit.unwrap_or_default();
                told[n] = Some(Told { used: limit, limit, sent_at: taken.sent_at });
            }
        }
        for (slot, told) in taken.slots.iter().zip(&told) {
            state.tally.made(slot, *told, refused);
            let Some(told) = told else { continue };
            let known = state.limits.insert((slot.scope.clone(), slot.window_s), told.limit);
            news |= known != Some(told.limit);
            if told.used >= told.limit {
                full.push(slot.clone());
            }
        }
        for slot in &full {
            let returned: Returned =
                state.pools.values_mut().flat_map(|pool| pool.drain(slot)).collect();
            state.give_back(returned);
        }
        drop(state);
        if news || !full.is_empty() {
            self.process.urgent.notify_one();
        }
    }

    /// A call was not made after all.
    pub(super) fn not_made(&self, taken: &Taken) {
        self.state().tally.returned(&taken.slots, 1);
    }

    pub(super) fn ended(&self, probe: bool, failed: bool) {
        let pause = Instant::now() + self.process.rules.pause;
        self.state().breaker.ended(probe, failed, pause);
        if probe {
            self.process.urgent.notify_one();
        }
    }

    /// Which of its scope's windows this is, the shortest first.
    fn nth(&self, scope: &str, window_s: i32) -> Option<usize> {
        let of_scope = self.terms.windows.iter().filter(|window| window.scope == scope);
        let shorter = of_scope.clone().filter(|window| window.window_s < window_s).count();
        of_scope.clone().any(|window| window.window_s == window_s).then_some(shorter)
    }
}

struct Waiting<'a> {
    meter: &'a Inner,
    key: &'a Key,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.meter.state().pools.get_mut(self.key) {
            pool.waiting -= 1;
        }
    }
}
