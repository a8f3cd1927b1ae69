//! The child processes: starts them, starts again what dies, ends them all.

use super::{
    Plan,
    process::{Process, Surroundings},
    spec::{Role, Spec},
};
use crate::{
    args::{LogLines, SERVICE_LOG},
    screen::Screen,
};
use anyhow::Context as _;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// A process that lived that long did not die of its start.
const LIVED: Duration = Duration::from_secs(10);
/// Before a start again, after one that failed; doubles each time.
const PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(200)..=Duration::from_secs(5);

/// The processes of a run.
pub(crate) struct Fleet {
    around: Surroundings,
    kept: Vec<Kept>,
    /// How often the simulated world has begun anew.
    worlds: watch::Sender<u32>,
    hurry: CancellationToken,
}

/// A process that is kept alive.
struct Kept {
    role: Role,
    id: watch::Receiver<Option<u32>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Fleet {
    /// No process yet.
    pub(super) fn new(plan: &Plan, http: reqwest::Client, screen: Screen) -> Self {
        let usual = if plan.quiet { "warn" } else { SERVICE_LOG };
        let around = Surroundings {
            log_filter: plan.log.filter.clone().unwrap_or_else(|| usual.to_owned()),
            log_format: plan.log.format.as_str(),
            marked: plan.log.format == LogLines::Text,
            screen,
            http,
        };
        let hurry = CancellationToken::new();
        let worlds = watch::Sender::new(0);
        Self { around, kept: Vec::new(), worlds, hurry }
    }

    /// Starts a process and keeps it alive from then on. Returns where it listens, once it is ready.
    pub(super) async fn start(&mut self, spec: Spec) -> anyhow::Result<SocketAddr> {
        self.launch(spec).await.context("a process ended while it was starting")?
    }

    /// Starts several at once; where each listens, in the same order.
    pub(super) async fn start_all(&mut self, specs: Vec<Spec>) -> anyhow::Result<Vec<SocketAddr>> {
        let ready: Vec<_> = specs.into_iter().map(|spec| self.launch(spec)).collect();
        let mut addresses = Vec::new();
        for ready in ready {
            addresses.push(ready.await.context("a process ended while it was starting")??);
        }
        Ok(addresses)
    }

    fn launch(&mut self, spec: Spec) -> oneshot::Receiver<anyhow::Result<SocketAddr>> {
        let (say_ready, ready) = oneshot::channel();
        let (say_id, id) = watch::channel(None);
        let stop = CancellationToken::new();
        let keeper = Keeper {
            around: self.around.clone(),
            stop: stop.clone(),
            hurry: self.hurry.clone(),
            say_id,
            worlds: self.worlds.clone(),
        };
        let role = spec.role;
        self.kept.push(Kept { role, id, stop, task: tokio::spawn(keeper.keep(spec, say_ready)) });
        ready
    }

    /// The ids of the processes that are up.
    pub(crate) fn ids(&self) -> Vec<(Role, u32)> {
        self.kept.iter().filter_map(|kept| Some((kept.role, (*kept.id.borrow())?))).collect()
    }

    /// Changes whenever the simulated world has died and begun anew, knowing nobody.
    pub(crate) fn worlds(&self) -> watch::Receiver<u32> {
        self.worlds.subscribe()
    }

    /// Ends all processes: those that ask before the world that they ask.
    pub(super) async fn stop(&mut self, hurry: &CancellationToken) {
        let hurried = self.hurry.clone();
        let all = async {
            let (world, others): (Vec<_>, Vec<_>) =
                self.kept.drain(..).partition(|kept| kept.role == Role::Simulator);
            for kept in [others, world] {
                for Kept { stop, .. } in &kept {
                    stop.cancel();
                }
                for Kept { role, task, .. } in kept {
                    if let Err(error) = task.await {
                        tracing::error!(%error, "what kept {role} alive failed");
                    }
                }
            }
        };
        let pass_on = async {
            hurry.cancelled().await;
            hurried.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = all => {}
            () = pass_on => {}
        }
    }
}

/// What keeps one process alive.
struct Keeper {
    around: Surroundings,
    stop: CancellationToken,
    hurry: CancellationToken,
    say_id: watch::Sender<Option<u32>>,
    worlds: watch::Sender<u32>,
}

impl Keeper {
    async fn keep(self, spec: Spec, say_ready: oneshot::Sender<anyhow::Result<SocketAddr>>) {
        let mut say_ready = Some(say_ready);
        let mut listen = spec.listen;
        let mut pause = *PAUSES.start();
        loop {
            let started = Instant::now();
            match self.life(&spec, listen, &mut say_ready).await {
                Ok(Some(address)) => listen = address,
                Ok(None) => return,
                Err(error) => {
                    // Nothing was promised yet: whoever waits for it decides.
                    if let Some(say_ready) = say_ready.take() {
                        let _nobody_waits_any_more = say_ready.send(Err(error));
                        return;
                    }
                    tracing::error!("{error:#}");
                }
            }
            if started.elapsed() >= LIVED {
                pause = *PAUSES.start();
            }
            if self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(*PAUSES.end());
        }
    }

    /// One life of the process. `None`: it was ended; else it died, and listened there.
    async fn life(
        &self,
        spec: &Spec,
        listen: SocketAddr,
        say_ready: &mut Option<oneshot::Sender<anyhow::Result<SocketAddr>>>,
    ) -> anyhow::Result<Option<SocketAddr>> {
        let role = spec.role;
        let mut process = Process::start(spec, listen, &self.around)?;
        let Some(ready) = self.stop.run_until_cancelled(process.ready(&self.around.http)).await
        else {
            process.end(&self.hurry).await;
            return Ok(None);
        };
        let address = match ready {
            Ok(address) => address,
            Err(error) => {
                process.end(&self.hurry).await;
                return Err(error);
            }
        };
        let id = process.id();
        self.say_id.send_replace(id);
        if let Some(say_ready) = say_ready.take() {
            let _nobody_waits_any_more = say_ready.send(Ok(address));
        } else {
            tracing::info!(
                "{role} is up again, as process {} on {address}",
                id.unwrap_or_default()
            );
            if role == Role::Simulator {
                self.worlds.send_modify(|worlds| *worlds += 1);
            }
        }
        let Some(status) = self.stop.run_until_cancelled(process.ended()).await else {
            process.end(&self.hurry).await;
            return Ok(None);
        };
        self.say_id.send_replace(None);
        let status = status?;
        let how = if status.success() { "ended" } else { "died" };
        tracing::warn!("{role} {how} ({status}); starting it again");
        Ok(Some(address))
    }
}
