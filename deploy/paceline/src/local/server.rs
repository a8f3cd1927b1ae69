//! The embedded server while a run lasts: whenever it dies it is started again, as the processes are.
//!
//! Its address stays the same, so that nobody else has to know: their pools connect anew.

use crate::exit::one_line;
use anyhow::Context as _;
use paceline_postgres::{Cluster, How};
use sqlx::{Connection as _, PgConnection};
use std::{ops::RangeInclusive, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two looks whether it is alive; doubles while it cannot be started.
const LOOKS: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(10);

/// The server, and what keeps it alive.
pub(super) struct Server {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<(Cluster, Option<Occupied>)>>,
}

impl Server {
    /// Keeps it up from now on, and `occupied` occupied.
    pub(super) fn keep_up(cluster: Cluster, occupied: Option<Occupied>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(cluster, occupied, stop.clone()));
        Self { stop, task }
    }

    /// Keeps it up no longer. A start that is under way is waited for.
    pub(super) async fn let_go(self) -> anyhow::Result<(Cluster, Option<Occupied>)> {
        self.stop.cancel();
        self.task.await.context("what kept the embedded Postgres alive failed")?
    }
}

async fn keep(
    mut cluster: Cluster,
    mut occupied: Option<Occupied>,
    stop: CancellationToken,
) -> anyhow::Result<(Cluster, Option<Occupied>)> {
    let mut pause = *LOOKS.start();
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let looked;
        // It blocks when there is something to do.
        (cluster, looked) = tokio::task::spawn_blocking(move || {
            let looked = cluster.ensure_running();
            (cluster, looked)
        })
        .await?;
        pause = match looked {
            Ok(How::Attached) => *LOOKS.start(),
            Ok(_) => {
                let id = cluster.pid().unwrap_or_default();
                tracing::warn!("the embedded Postgres died, and is up again as process {id}");
                *LOOKS.start()
            }
            Err(error) => {
                let error = one_line(&error.into());
                tracing::error!("the embedded Postgres died and cannot be started: {error}");
                (pause * 2).min(*LOOKS.end())
            }
        };
        if let Some(occupied) = &mut occupied {
            occupied.stay(&cluster).await;
        }
    }
    Ok((cluster, occupied))
}

/// A database that somebody is connected to, so that nobody takes it for one that was left.
pub(super) struct Occupied {
    name: String,
    occupant: PgConnection,
}

impl Occupied {
    /// Connects to the database of that name.
    pub(super) async fn enter(cluster: &Cluster, name: String) -> Result<Self, sqlx::Error> {
        let occupant = PgConnection::connect(&cluster.url(&name)).await?;
        Ok(Self { name, occupant })
    }

    /// The database's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Connects again if the server took the connection with it.
    async fn stay(&mut self, cluster: &Cluster) {
        if self.occupant.ping().await.is_ok() {
            return;
        }
        match PgConnection::connect(&cluster.url(&self.name)).await {
            Ok(occupant) => self.occupant = occupant,
            // The next look tries again.
            Err(error) => tracing::debug!(%error, "the database {} is unoccupied", self.name),
        }
    }

    /// Leaves it; returns its name.
    pub(super) async fn leave(self) -> String {
        if let Err(error) = self.occupant.close().await {
            tracing::debug!(%error, "the server ended the connection first");
        }
        self.name
    }
}
