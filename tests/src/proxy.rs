//! A bad network in front of Postgres: a proxy that delays, loses, silences and cuts connections, and
//! that can do so between a commit and its answer. What it reads of the protocol is in `wire`.
//!
//! It must know nothing of Paceline but the names that connections give themselves.

mod link;
mod wire;

pub use link::Link;

use futures::future::{Either, select};
use link::Awaited;
use reqwest::Url;
use std::{
    io,
    net::SocketAddr,
    ops::RangeInclusive,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter},
    net::{TcpListener, TcpStream, UnixStream},
    sync::oneshot,
    task::JoinHandle,
};
use wire::{Asked, Frame, Requests};

/// How the network is. Holds for all connections, from the next message on.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// How long a request takes to get through.
    pub delay: Option<RangeInclusive<Duration>>,
    /// How often, from 0 to 1, a connection is cut when it asks for a commit: it never gets there.
    pub commits_lost: f64,
    /// How often a connection is cut when Postgres has committed: its answer never gets back.
    pub answers_lost: f64,
    /// The same for a statement that is a transaction by itself.
    pub statements_lost: f64,
    /// Whether connections that listen for notifications fall silent.
    pub deaf: bool,
}

/// What befell connections so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Commits that Postgres never heard of.
    pub commits: u32,
    /// Commits that Postgres made, and whose answer was lost.
    pub answers: u32,
    /// The same of single statements.
    pub statements: u32,
}

/// A proxy on a port of its own. Whatever goes through it ends with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: Url,
    net: Arc<Net>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Net {
    conditions: Mutex<Conditions>,
    links: Mutex<Vec<Arc<Link>>>,
    trap: Mutex<Option<Trap>>,
    commits: AtomicU32,
    answers: AtomicU32,
    statements: AtomicU32,
}

#[derive(Debug)]
struct Trap {
    name: String,
    caught: oneshot::Sender<oneshot::Sender<()>>,
}

/// An answer that does not get through until this is dropped; its connection is inside a transaction.
#[derive(Debug)]
pub struct HeldAnswer {
    _release: oneshot::Sender<()>,
}

impl Proxy {
    /// A good network, for now, in front of the Postgres at this URL.
    ///
    /// Panics when no port can be had, or when the URL is none.
    pub async fn start(upstream: &str) -> Self {
        let upstream: Url = upstream.parse().expect("a URL of Postgres");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port for the proxy");
        let address = listener.local_addr().expect("its address");
        let net = Arc::new(Net::default());
        let accepting = tokio::spawn(accept(listener, Upstream::of(&upstream), net.clone()));
        Self { address, upstream, net, accepting }
    }

    /// The way to the database through the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.upstream.clone();
        let stays = |name: &str| !["host", "port", "sslmode"].contains(&name);
        let kept: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| stays(name)).collect();
        url.query_pairs_mut().clear().extend_pairs(kept).append_pair("sslmode", "disable");
        let host = url
            .set_ip_host(self.address.ip())
            .and_then(|()| url.set_port(Some(self.address.port())));
        host.expect("a URL that has a host");
        url.into()
    }

    /// Changes the network.
    pub fn set(&self, conditions: Conditions) {
        *locked(&self.net.conditions) = conditions;
    }

    /// What the conditions have cost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let of = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        let Net { commits, answers, statements, .. } = &*self.net;
        Losses { commits: of(commits), answers: of(answers), statements: of(statements) }
    }

    /// The connections that there are.
    #[must_use]
    pub fn links(&self) -> Vec<Arc<Link>> {
        locked(&self.net.links).clone()
    }

    /// Holds back the next answer to a statement inside a transaction, on a connection of this name.
    ///
    /// Ends when there is one: its owner is then inside a transaction, and stays there.
    pub async fn hold_in_transaction(&self, name: &str) -> HeldAnswer {
        let (caught, hold) = oneshot::channel();
        *locked(&self.net.trap) = Some(Trap { name: name.to_owned(), caught });
        HeldAnswer { _release: hold.await.expect("a proxy that lives") }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        for link in self.links() {
            link.cut();
        }
    }
}

impl Net {
    fn conditions(&self) -> Conditions {
        locked(&self.conditions).clone()
    }

    /// How a request is lost, if it is.
    fn lot(&self, asked: Asked, link: &Link) -> Lot {
        let Conditions { commits_lost, answers_lost, statements_lost, .. } = self.conditions();
        let happens = |often: f64| often > 0.0 && fastrand::f64() < often;
        let is_alone = !link.in_transaction.load(Ordering::Relaxed);
        match asked {
            Asked::Commit if happens(commits_lost) => Lot::RequestLost,
            Asked::Commit if happens(answers_lost) => Lot::AnswerLost,
            Asked::Statement if is_alone && happens(statements_lost) => Lot::AnswerLost,
            _ => Lot::Delivered,
        }
    }

    fn count(counter: &AtomicU32) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether an answer is to be held back; resolves when it may go.
    async fn hold(&self, link: &Link) {
        let trap = locked(&self.trap).take_if(|trap| trap.name == link.name());
        if let Some(Trap { caught, .. }) = trap {
            let (release, released) = oneshot::channel();
            if caught.send(release).is_ok() {
                let _dropped = released.await;
            }
        }
    }
}

enum Lot {
    Delivered,
    RequestLost,
    AnswerLost,
}

#[derive(Clone, Debug)]
enum Upstream {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Upstream {
    fn of(url: &Url) -> Self {
        let named = url.query_pairs().find_map(|(name, value)| (name == "host").then_some(value));
        let host =
            named.map_or_else(|| url.host_str().unwrap_or("localhost").to_owned(), Into::into);
        let port = url.port().unwrap_or(5432);
        if host.starts_with('/') {
            Self::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
        } else {
            Self::Tcp(host, port)
        }
    }
}

async fn accept(listener: TcpListener, upstream: Upstream, net: Arc<Net>) {
    while let Ok((client, _)) = listener.accept().await {
        let (upstream, net) = (upstream.clone(), net.clone());
        tokio::spawn(async move {
            let link = Arc::new(Link::new());
            locked(&net.links).push(link.clone());
            // However it ends: both ends see their connection end.
            let _ended = match upstream {
                Upstream::Unix(path) => match UnixStream::connect(path).await {
                    Ok(server) => carry(client, server, &net, &link).await,
                    Err(error) => Err(error),
                },
                Upstream::Tcp(host, port) => match TcpStream::connect((host, port)).await {
                    Ok(server) => carry(client, server, &net, &link).await,
                    Err(error) => Err(error),
                },
            };
            locked(&net.links).retain(|other| !Arc::ptr_eq(other, &link));
        });
    }
}

/// Carries both ways until one of them ends or the link is cut.
async fn carry<S: AsyncRead + AsyncWrite>(
    mut client: TcpStream,
    server: S,
    net: &Net,
    link: &Link,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = tokio::io::split(server);
        let (mut from_client, mut to_client) =
            (BufReader::new(from_client), BufWriter::new(to_client));
        let mut to_server = BufWriter::new(to_server);
        let start = wire::start(&mut from_client, &mut to_client).await?;
        let _once = link.name.set(start.application_name);
        to_server.write_all(&start.message).await?;
        to_server.flush().await?;
        let there = pin!(carry_requests(from_client, to_server, net, link));
        let back = pin!(carry_answers(BufReader::new(from_server), to_client, net, link));
        let either = async {
            match select(there, back).await {
                Either::Left((end, _)) | Either::Right((end, _)) => end,
            }
        };
        let cut = pin!(link.until_cut());
        select(pin!(either), cut).await;
    }
    // A reset, and not an end in good order.
    client.set_zero_linger()
}

/// Ends with the connection, or where it is to be cut.
async fn carry_requests(
    mut from: BufReader<impl AsyncRead + Unpin>,
    mut to: BufWriter<impl AsyncWrite + Unpin>,
    net: &Net,
    link: &Link,
) -> io::Result<()> {
    let mut requests = Requests::default();
    loop {
        let frame = Frame::read(&mut from).await;
        link.passes().await;
        let frame = frame?;
        if let Some(asked) = requests.of(&frame) {
            if asked == Asked::Listen {
                link.listens.store(true, Ordering::Relaxed);
            }
            let is_lost = match net.lot(asked, link) {
                Lot::Delivered => false,
                Lot::AnswerLost => true,
                Lot::RequestLost => {
                    Net::count(&net.commits);
                    return Ok(());
                }
            };
            let conditions = net.conditions();
            if let Some(delay) = conditions.delay {
                let spread = delay.end().saturating_sub(*delay.start());
                tokio::time::sleep(*delay.start() + spread.mul_f64(fastrand::f64())).await;
            }
            if conditions.deaf && link.listens() {
                link.silence();
                link.passes().await;
            }
            locked(&link.awaited).push_back(Awaited { asked, is_lost });
        }
        frame.write(&mut to).await?;
        if from.buffer().is_empty() {
            to.flush().await?;
        }
    }
}

/// Ends with the connection, or where it is to be cut.
async fn carry_answers(
    mut from: BufReader<impl AsyncRead + Unpin>,
    mut to: BufWriter<impl AsyncWrite + Unpin>,
    net: &Net,
    link: &Link,
) -> io::Result<()> {
    loop {
        let frame = Frame::read(&mut from).await;
        link.passes().await;
        let frame = frame?;
        let awaited = locked(&link.awaited).front().copied();
        if let Some(is_inside) = frame.ends_answer() {
            link.in_transaction.store(is_inside, Ordering::Relaxed);
            locked(&link.awaited).pop_front();
            match awaited {
                Some(Awaited { asked, is_lost: true }) => {
                    Net::count(if asked == Asked::Commit { &net.answers } else { &net.statements });
                    return Ok(());
                }
                Some(Awaited { asked: Asked::Statement, .. }) if is_inside => net.hold(link).await,
                _ => {}
            }
        } else if awaited.is_some_and(|awaited| awaited.is_lost) {
            continue;
        }
        frame.write(&mut to).await?;
        if from.buffer().is_empty() {
            to.flush().await?;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
