//! Against a server that answers each connection with the next line of a script.

use super::*;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with a connection.
#[derive(Clone, Copy)]
enum Act {
    /// Sends this and closes.
    Say(&'static str),
    /// Sends this and resets the connection.
    SayAndReset(&'static str),
    /// Sends this and nothing more, but keeps the connection.
    SayAndStall(&'static str),
    /// Sends a body until the other side has enough.
    Flood,
}

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n[1,2,3]";
const ERROR: &str = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";
const HTML: &str = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>";
const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n[1,2";
const TRUNCATED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[1,2";

/// A server that runs through a script and repeats its last act.
struct Server {
    url: String,
    served: Arc<AtomicU32>,
}

impl Server {
    async fn new(script: &'static [Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let served = Arc::new(AtomicU32::new(0));
        let count = served.clone();
        tokio::spawn(async move {
            let mut stalled = vec![];
            while let Ok((stream, _)) = listener.accept().await {
                let n = count.fetch_add(1, Ordering::SeqCst) as usize;
                stalled.extend(act(stream, script[n.min(script.len() - 1)]).await);
            }
        });
        Self { url, served }
    }

    fn served(&self) -> u32 {
        self.served.load(Ordering::SeqCst)
    }
}

async fn act(mut stream: TcpStream, act: Act) -> Option<TcpStream> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    match act {
        Act::Say(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()?;
        }
        Act::SayAndReset(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.set_zero_linger().ok()?;
        }
        Act::SayAndStall(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            return Some(stream);
        }
        Act::Flood => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.ok()?;
            while stream.write_all(&[b' '; 100]).await.is_ok() {}
        }
    }
    None
}

fn quick() -> HttpOptions {
    HttpOptions {
        first_pause: Duration::from_millis(1),
        body_limit: 1000,
        ..HttpOptions::default()
    }
}

/// For servers that stall.
fn impatient() -> HttpOptions {
    HttpOptions { idle_timeout: Duration::from_millis(200), ..quick() }
}

fn numbers(body: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice(body).ok()
}

async fn ask(server: &Server, options: HttpOptions) -> Result<Answer<Vec<u8>>, Failure> {
    let http = Http::new("test", options).unwrap();
    http.send("things", |client| client.get(&server.url), numbers).await
}

async fn ask_once(server: &Server) -> Result<Answer<Vec<u8>>, Failure> {
    let http = Http::new("test", impatient()).unwrap();
    http.send_once("things", |client| client.post(&server.url), numbers).await
}

#[tokio::test]
async fn whatever_breaks_an_answer_is_asked_for_again() {
    for broken in [
        Act::Say(ERROR),
        Act::Say(HTML),
        Act::Say(CUT),
        Act::Say(TRUNCATED),
        Act::Say(""),
        Act::SayAndReset(""),
        Act::SayAndReset(CUT),
    ] {
        let script = Box::leak(Box::new([broken, broken, Act::Say(GOOD)]));
        let server = Server::new(script).await;
        let answer = ask(&server, quick()).await.unwrap();
        assert_eq!((answer.data, server.served()), (vec![1, 2, 3], 3));
    }
}

#[tokio::test]
async fn a_stalled_answer_is_asked_for_again() {
    for stalled in [Act::SayAndStall(""), Act::SayAndStall(CUT)] {
        let server = Server::new(Box::leak(Box::new([stalled, Act::Say(GOOD)]))).await;
        assert_eq!(ask(&server, impatient()).await.unwrap().data, [1, 2, 3]);
        assert!(server.served() >= 2);
    }
}

#[tokio::test]
async fn after_five_tries_the_error_says_what_came_back() {
    let server = Server::new(&[Act::Say(ERROR)]).await;
    let Err(Failure::Temporary(detail)) = ask(&server, quick()).await else { panic!() };
    assert_eq!(server.served(), 5);
    assert_eq!((detail.status, detail.tries), (Some(500), 5));
    assert_eq!(detail.endpoint, "things");

    let server = Server::new(&[Act::Say(HTML)]).await;
    assert!(matches!(ask(&server, quick()).await, Err(Failure::Temporary(_))));
    assert_eq!(server.served(), 5);

    let server = Server::new(&[Act::SayAndReset(CUT)]).await;
    assert!(matches!(ask(&server, quick()).await, Err(Failure::Network(_))));
    assert_eq!(server.served(), 5);
}

#[tokio::test]
async fn no_try_begins_after_the_time_for_retries() {
    let server = Server::new(&[Act::SayAndStall("")]).await;
    let options = HttpOptions { retry_for: Duration::from_millis(1), ..impatient() };
    let Err(Failure::Network(detail)) = ask(&server, options).await else { panic!() };
    assert_eq!((detail.tries, detail.status), (1, None));
    assert!(detail.message.starts_with("no answer in time"), "{}", detail.message);
}

#[tokio::test]
async fn a_refusal_is_handed_back_at_once() {
    for (status, answer) in [
        (301, "HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"),
        (400, "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}"),
        (401, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"),
        (429, "HTTP/1.1 429 Too Many\r\ncontent-length: 2\r\n\r\n{}"),
        (429, "HTTP/1.1 429 Too Many\r\nretry-after: 60\r\ncontent-length: 2\r\n\r\n{}"),
    ] {
        let server = Server::new(Box::leak(Box::new([Act::Say(answer)]))).await;
        let Err(Failure::Refused(refusal)) = ask(&server, quick()).await else { panic!() };
        assert_eq!((refusal.status.as_u16(), refusal.detail.tries), (status, 1));
        assert_eq!(server.served(), 1);
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_but_not_for_ever() {
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    const SLOW_DOWN: &str = "HTTP/1.1 429 Slow down\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    const LATER: &str = "HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
    let server = Server::new(&[Act::Say(BUSY), Act::Say(SLOW_DOWN), Act::Say(GOOD)]).await;
    assert_eq!(ask(&server, quick()).await.unwrap().data, [1, 2, 3]);

    let server = Server::new(&[Act::Say(BUSY)]).await;
    assert!(matches!(ask(&server, quick()).await, Err(Failure::Temporary(_))));
    assert_eq!(server.served(), 5);

    let server = Server::new(&[Act::Say(LATER)]).await;
    assert!(matches!(ask(&server, quick()).await, Err(Failure::Temporary(_))));
    assert_eq!(server.served(), 1);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let wait = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, now)
    };
    assert_eq!(wait("3"), Some(Duration::from_secs(3)));
    assert_eq!(wait("Sat, 21 Nov 2026 12:00:04 GMT"), Some(Duration::from_secs(4)));
    assert_eq!(wait("Sat, 21 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(wait("soon"), None);
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_to_its_end() {
    let server = Server::new(&[Act::Flood]).await;
    let Err(Failure::TooLarge { limit, detail }) = ask(&server, quick()).await else { panic!() };
    assert_eq!((limit, detail.status, server.served()), (1000, Some(200), 1));
}

#[tokio::test]
async fn what_must_not_be_made_twice_is_not_repeated_once_it_may_have_arrived() {
    for broken in [Act::Say(ERROR), Act::Say(CUT), Act::SayAndReset(""), Act::SayAndStall("")] {
        let server = Server::new(Box::leak(Box::new([broken, Act::Say(GOOD)]))).await;
        assert!(ask_once(&server).await.is_err());
        assert_eq!(server.served(), 1);
    }
}

#[tokio::test]
async fn a_call_that_never_left_is_always_repeated() {
    // A port that was free a moment ago: nobody listens there.
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let nobody = Server { url, served: Arc::default() };
    let Err(Failure::Network(detail)) = ask_once(&nobody).await else { panic!() };
    assert_eq!(detail.tries, 5);
    assert!(detail.message.starts_with("no connection"), "{}", detail.message);
    assert!(!detail.message.contains("http://"), "{}", detail.message);
}

#[tokio::test]
async fn a_base_url_that_is_none_is_no_network_trouble() {
    let nowhere = Server { url: "not a url".to_owned(), served: Arc::default() };
    let Err(Failure::Unsendable(detail)) = ask(&nowhere, quick()).await else { panic!() };
    assert_eq!(detail.tries, 1);
}

#[test]
fn a_spent_quota_is_asked_again_just_after_its_window() {
    let now = "2026-11-21T12:14:59.999Z".parse().unwrap();
    for (window_s, border) in
        [(60, "12:15:00"), (900, "12:15:00"), (3600, "13:00:00"), (86_400, "24:00:00")]
    {
        let border = if border == "24:00:00" {
            "2026-11-22T00:00:00Z".parse::<DateTime<Utc>>()
        } else {
            format!("2026-11-21T{border}Z").parse()
        }
        .unwrap();
        let wait = after_window(now, window_s) - border;
        assert!((TimeDelta::seconds(1)..=TimeDelta::seconds(5)).contains(&wait), "{wait}");
    }
}

/// Lets so many tries pass and notes how they ended.
#[derive(Debug)]
struct Turnstile {
    left: AtomicU32,
    seen: Arc<std::sync::Mutex<Seen>>,
}

/// Of each try the status and the end, as far as they were heard.
type Seen = Vec<(Option<u16>, Option<End>)>;

struct Through(Arc<std::sync::Mutex<Seen>>, Option<u16>, Option<End>);

impl Gate for Turnstile {
    fn enter(&self) -> futures::future::BoxFuture<'_, Result<Box<dyn Pass>, Closed>> {
        Box::pin(async {
            let left = self.left.load(Ordering::SeqCst);
            if left == 0 {
                let (reason, scope) = ("rate_limit", "test:all".to_owned());
                return Err(Closed::Wait { reason, after: Duration::ZERO, scope });
            }
            self.left.store(left - 1, Ordering::SeqCst);
            Ok(Box::new(Through(self.seen.clone(), None, None)) as Box<dyn Pass>)
        })
    }
}

impl Pass for Through {
    fn heard(&mut self, status: StatusCode, _headers: &HeaderMap) {
        self.1 = Some(status.as_u16());
    }

    fn over(mut self: Box<Self>, end: End) {
        self.2 = Some(end);
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        self.0.lock().unwrap().push((self.1, self.2));
    }
}

async fn ask_through(server: &Server, tries: u32) -> (Result<Answer<Vec<u8>>, Failure>, Seen) {
    let seen = Arc::default();
    let gate = Arc::new(Turnstile { left: AtomicU32::new(tries), seen: Arc::clone(&seen) });
    let http = Http::new("test", quick()).unwrap().behind(gate);
    let answer = http.send("things", |client| client.get(&server.url), numbers).await;
    let seen = seen.lock().unwrap().clone();
    (answer, seen)
}

#[tokio::test]
async fn each_try_goes_through_the_gate_which_hears_how_it_went() {
    let script = &[Act::Say(ERROR), Act::SayAndReset(""), Act::SayAndReset(CUT), Act::Say(GOOD)];
    let server = Server::new(script).await;
    let (answer, seen) = ask_through(&server, 9).await;
    assert_eq!(answer.unwrap().data, [1, 2, 3]);
    let (whole, broken) = (Some(End::Whole), Some(End::Broken));
    assert_eq!(seen, [(Some(500), whole), (None, broken), (Some(200), broken), (Some(200), whole)]);
    let nowhere = Server { url: "not a url".to_owned(), served: Arc::default() };
    assert_eq!(ask_through(&nowhere, 9).await.1, [(None, Some(End::Unmade))]);
}

#[tokio::test]
async fn a_closed_gate_ends_the_call_without_a_further_try() {
    let server = Server::new(&[Act::Say(ERROR)]).await;
    let (answer, seen) = ask_through(&server, 2).await;
    assert!(matches!(answer, Err(Failure::Wait { reason: "rate_limit", .. })));
    assert_eq!((server.served(), seen.len()), (2, 2));
}
