//! Keeps the books: each second, and at once where it matters, this process tells the fleet what became of its
//! calls, and hears how breakers stand.

use super::{
    Process,
    breaker::State,
    limits::Tier,
    meter::Inner,
    pool::Pool,
    tally::Account,
    terms::{after, reason},
};
use paceline_shared::{
    Provider,
    db::{self, breakers, budgets},
    notify,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(1);
/// Urgent news wait so long for more of them.
const LINGER: Duration = Duration::from_millis(5);

pub(super) async fn run(process: Arc<Process>, end: CancellationToken) {
    let mut second = tokio::time::interval(EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        let is_second = tokio::select! {
            _ = second.tick() => true,
            () = process.urgent.notified() => {
                tokio::time::sleep(LINGER).await;
                false
            }
            () = end.cancelled() => break,
        };
        let kept = keep(&process, is_second).await;
        if let Err(error) = &kept
            && !away
        {
            tracing::warn!(
                reason = error.reason(),
                "calls are not accounted for yet, will try again"
            );
        }
        away = kept.is_err();
    }
    for meter in process.meters() {
        if let Err(error) = close(&meter).await {
            tracing::warn!(reason = error.reason(), "reserved calls were not given back");
        }
    }
    if let Err(error) = budgets::leave(&process.db, process.worker).await {
        tracing::debug!(reason = error.reason(), "empty reservations are left");
    }
}

/// Gives back all that is reserved.
async fn close(meter: &Inner) -> Result<(), db::Error> {
    let _turn = meter.asking.lock().await;
    {
        let mut state = meter.state();
        let returned = state.pools.values_mut().flat_map(Pool::empty).collect();
        state.give_back(returned);
    }
    if meter.state().tally.is_owed() {
        account(meter).await?;
    }
    account(meter).await
}

async fn keep(process: &Process, is_second: bool) -> Result<(), db::Error> {
    let meters = process.meters();
    for meter in &meters {
        if is_second {
            let mut state = meter.state();
            let (now, contact) = (Instant::now(), state.contact);
            let mut returned = Vec::new();
            for pool in state.pools.values_mut() {
                returned.append(&mut pool.expire(now, contact));
                returned.append(&mut pool.second());
            }
            state.pools.retain(|_, pool| !pool.is_idle());
            state.give_back(returned);
        }
        {
            let _turn = meter.asking.lock().await;
            account(meter).await?;
        }
        tell_breaker(meter).await?;
    }
    let tripped = db::answered_soon(breakers::tripped(&process.db)).await?;
    for meter in &meters {
        learn(meter, tripped.iter().find(|one| one.provider == meter.terms.provider)).await?;
    }
    Ok(())
}

/// Brings the tally to the books, and looks what they say now. Meanwhile nothing is reserved: the caller has
/// [`Inner::asking`].
pub(super) async fn account(meter: &Inner) -> Result<(), db::Error> {
    let Process { db, worker, call_lasts, .. } = &*meter.process;
    let asked = Instant::now();
    let Some(Account { seq, entries }) = meter.state().tally.account() else { return Ok(()) };
    let standings =
        db::answered_soon(budgets::account(db, (*worker, seq), &entries, *call_lasts)).await?;
    meter.state().tally.heard();
    meter.state().contact = asked;
    for standing in standings {
        let budgets::Standing { scope, window_s, limit, used, reserved, opens_at } = &standing;
        meter.state().limits.insert((scope.clone(), *window_s), *limit);
        // A gauge for each user would be too many; and his quota holds nobody else back.
        if !meter.terms.windows.iter().any(|window| window.scope == *scope) {
            continue;
        }
        show(&standing);
        if let Some(tier) = Tier::spent(*limit, *used) {
            let reason = reason(&meter.terms.windows, scope, *window_s);
            meter.block(tier, after(*opens_at), reason, scope).await?;
        }
        tracing::trace!(scope, window_s, limit, used, reserved, "accounted");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a quota is far below 2^52")]
fn show(standing: &budgets::Standing) {
    let budgets::Standing { scope, window_s, limit, used, reserved, .. } = standing;
    let labels = [("scope", scope.clone()), ("window_seconds", window_s.to_string())];
    let free = i64::from(*limit) - i64::from(*used) - reserved;
    metrics::gauge!("paceline_budget_limit_calls", &labels).set(f64::from(*limit));
    metrics::gauge!("paceline_budget_used_calls", &labels).set(f64::from(*used));
    metrics::gauge!("paceline_budget_free_calls", &labels).set(free.max(0) as f64);
}

/// Tells the fleet what this process saw of a provider's calls.
async fn tell_breaker(meter: &Inner) -> Result<(), db::Error> {
    let Process { db, worker, rules, .. } = &*meter.process;
    let provider = meter.terms.provider;
    let verdict = meter.state().breaker.verdict();
    if let Some(works) = verdict {
        let told = if works {
            db::answered_soon(breakers::close(db, provider, *worker)).await?
        } else {
            db::answered_soon(breakers::reopen(db, provider, *worker, rules)).await?
        };
        meter.state().breaker.verdict_told();
        if told {
            moved(meter.process.as_ref(), provider, if works { "closed" } else { "open" });
        }
    }
    let (calls, failures) = meter.state().breaker.take_counts();
    if calls == 0 {
        return Ok(());
    }
    match db::answered_soon(breakers::count(db, provider, calls, failures, rules)).await {
        Ok(true) => moved(meter.process.as_ref(), provider, "open"),
        Ok(false) => {}
        Err(error) => {
            meter.state().breaker.put_back(calls, failures);
            return Err(error);
        }
    }
    Ok(())
}

/// Learns how the breaker stands, and takes the right to find out where it is free.
async fn learn(meter: &Inner, tripped: Option<&breakers::Tripped>) -> Result<(), db::Error> {
    let Process { db, worker, rules, .. } = &*meter.process;
    let provider = meter.terms.provider;
    // How long, and not when: this process's clock is not Postgres's.
    let end = |tripped: &breakers::Tripped| {
        Instant::now() + Duration::from_millis(u64::try_from(tripped.left_ms).unwrap_or_default())
    };
    let state = match tripped {
        None => State::Closed,
        Some(tripped) if tripped.left_ms == 0 => {
            if meter.process.has_room()
                && db::answered_soon(breakers::probe(db, provider, *worker, rules)).await?
            {
                moved(meter.process.as_ref(), provider, "half_open");
                State::Probing
            } else {
                State::ProbedElsewhere(Instant::now() + rules.probe)
            }
        }
        Some(breakers::Tripped { probe: Some(probe), .. }) if probe == worker => State::Probing,
        Some(tripped @ breakers::Tripped { probe: Some(_), .. }) => {
            State::ProbedElsewhere(end(tripped))
        }
        Some(tripped) => State::Open(end(tripped)),
    };
    meter.state().breaker.learn(state);
    metrics::gauge!("paceline_breaker_state", "provider" => provider.as_str())
        .set(meter.state().breaker.state.level());
    Ok(())
}

/// Says that a breaker has moved.
fn moved(process: &Process, provider: Provider, to: &'static str) {
    metrics::counter!("paceline_breaker_moves_total", "provider" => provider.as_str(), "to" => to)
        .increment(1);
    if to == "open" {
        tracing::warn!(%provider, to, "the breaker moved: too many calls failed");
    } else {
        tracing::info!(%provider, to, "the breaker moved");
    }
    process.notifier.say(notify::LANES, provider.as_str());
    process.notifier.say(notify::JOBS, provider.as_str());
}
