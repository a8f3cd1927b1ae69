//! Starting, serving and ending.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control;
use crate::error::Error;
use crate::fitbit;
use crate::garmin;
use crate::gate;
use crate::http::json;
use crate::open_meteo;
use crate::simulator::Simulator;
use crate::strava;
use crate::wire::{Door, Lever};
use crate::withings;
use crate::world::World;

/// Time that open requests get to end at a shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// A simulator that is listening. It ends when this is dropped, or shut down.
#[derive(Debug)]
pub struct Running {
    simulator: Simulator,
    address: SocketAddr,
    end: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Listens and serves, on a task of the current runtime.
    ///
    /// Fails with [`Error::Listen`] when the address is taken.
    pub async fn start(config: Config) -> Result<Running, Error> {
        let wanted = config.listen;
        let listener =
            TcpListener::bind(wanted).await.map_err(|error| Error::Listen(wanted, error))?;
        let address = listener.local_addr().map_err(|error| Error::Listen(wanted, error))?;
        let end = CancellationToken::new();
        let world = Arc::new(World::new(config, end.clone()));
        let service = router(&world).into_make_service_with_connect_info::<Lever>();
        let served = axum::serve(Door(listener), service)
            .with_graceful_shutdown(end.clone().cancelled_owned());
        let ended = end.clone();
        let task = tokio::spawn(async move {
            let grace = async {
                ended.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                result = served => if let Err(error) = result {
                    tracing::error!(%error, "the simulator stopped serving");
                },
                () = grace => tracing::debug!("connections were open at the simulator's end"),
            }
        });
        tracing::info!(%address, "the simulated world is up");
        Ok(Running { simulator: Simulator(world), address, end, task: Some(task) })
    }
}

/// Runs a simulator until `shutdown`: all that `paceline sim` does.
pub async fn serve(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    let running = Simulator::start(config).await?;
    shutdown.cancelled().await;
    running.shutdown().await;
    Ok(())
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// As in `http://127.0.0.1:40001`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The handle on what it simulates; cheap to clone.
    #[must_use]
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Stops listening, ends what waits, and returns when nothing is served any more.
    pub async fn shutdown(mut self) {
        self.end.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the simulator's task failed");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn router(world: &Arc<World>) -> Router {
    Router::new()
        .merge(strava::routes())
        .merge(withings::routes())
        .merge(open_meteo::routes())
        .merge(fitbit::routes())
        .merge(garmin::routes())
        .merge(control::routes())
        .fallback(async || json(404, r#"{"message":"no such path in the simulated world"}"#))
        .layer(from_fn_with_state(Arc::clone(world), gate::pass))
        .with_state(Arc::clone(world))
}
