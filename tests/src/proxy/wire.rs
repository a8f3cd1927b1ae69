//! As much of the protocol of Postgres as it takes to see what a client asks for, and when it has its
//! answer. It forwards nothing and judges nothing.

use std::{collections::HashSet, io};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longer messages are none of ours.
const LONGEST: i32 = 64 << 20;
const ENCRYPTION_ASKED: [i32; 2] = [80_877_103, 80_877_104];

/// How a connection begins.
pub(super) struct Start {
    /// The first message, to be forwarded.
    pub(super) message: Vec<u8>,
    /// What the client calls itself.
    pub(super) application_name: String,
}

/// Reads the first message. A client that asks for encryption is told that there is none.
pub(super) async fn start(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Start> {
    loop {
        let length = from.read_i32().await?;
        let mut body = vec![0; size(length)?];
        from.read_exact(&mut body).await?;
        let code = body.first_chunk().copied().map_or(0, i32::from_be_bytes);
        if ENCRYPTION_ASKED.contains(&code) {
            to.write_u8(b'N').await?;
            to.flush().await?;
            continue;
        }
        let mut words = body.get(4..).unwrap_or_default().split(|&byte| byte == 0);
        let mut application_name = String::new();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name == b"application_name" {
                application_name = String::from_utf8_lossy(value).into_owned();
            }
        }
        let message = [length.to_be_bytes().as_slice(), &body].concat();
        return Ok(Start { message, application_name });
    }
}

fn size(length: i32) -> io::Result<usize> {
    if !(4..=LONGEST).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no message of Postgres"));
    }
    usize::try_from(length - 4).map_err(io::Error::other)
}

/// A message after the first one.
#[derive(Debug)]
pub(super) struct Frame {
    tag: u8,
    body: Vec<u8>,
}

impl Frame {
    /// Fails at the end of the connection too.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let tag = from.read_u8().await?;
        let mut body = vec![0; size(from.read_i32().await?)?];
        from.read_exact(&mut body).await?;
        Ok(Self { tag, body })
    }

    pub(super) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_u8(self.tag).await?;
        to.write_i32(i32::try_from(self.body.len() + 4).map_err(io::Error::other)?).await?;
        to.write_all(&self.body).await
    }

    /// Whether a message of the server's ends an answer, and if so, whether inside a transaction.
    pub(super) fn ends_answer(&self) -> Option<bool> {
        (self.tag == b'Z').then(|| self.body.first() != Some(&b'I'))
    }

    /// The parts of a client's message, which end with a zero each.
    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.body.split(|&byte| byte == 0)
    }
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A transaction to be made lasting.
    Commit,
    /// A statement to be run.
    Statement,
    /// Notifications.
    Listen,
    /// A transaction to begin, a statement to be prepared, and the like.
    Other,
}

/// A client's side, message by message.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Prepared statements that commit.
    commits: HashSet<Vec<u8>>,
    /// Whether what is bound commits.
    is_commit_bound: bool,
    executed: Option<Asked>,
}

impl Requests {
    /// What is asked for by a message; `None` when the server does not answer yet.
    pub(super) fn of(&mut self, frame: &Frame) -> Option<Asked> {
        let mut texts = frame.texts();
        match frame.tag {
            b'Q' => return texts.next().map(kind),
            b'P' => {
                let (name, text) = (texts.next()?.to_vec(), texts.next()?);
                if kind(text) == Asked::Commit {
                    self.commits.insert(name);
                } else {
                    self.commits.remove(&name);
                }
            }
            b'B' => self.is_commit_bound = texts.nth(1).is_some_and(|n| self.commits.contains(n)),
            b'E' if self.is_commit_bound => self.executed = Some(Asked::Commit),
            b'E' => self.executed = Some(Asked::Statement),
            b'S' => return Some(self.executed.take().unwrap_or(Asked::Other)),
            _ => {}
        }
        None
    }
}

fn kind(text: &[u8]) -> Asked {
    let text = String::from_utf8_lossy(text.trim_ascii_start()).to_ascii_lowercase();
    let word = text.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
    match word {
        "commit" | "end" => Asked::Commit,
        "listen" => Asked::Listen,
        "begin" | "start" | "rollback" | "abort" | "" => Asked::Other,
        _ => Asked::Statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Frame {
        Frame { tag, body: body.to_vec() }
    }

    #[test]
    fn a_commit_is_seen_as_a_simple_query_and_as_a_prepared_statement() {
        let mut requests = Requests::default();
        assert_eq!(requests.of(&frame(b'Q', b"COMMIT\0")), Some(Asked::Commit));
        assert_eq!(requests.of(&frame(b'P', b"s1\0 commit\0\0\0")), None);
        assert_eq!(requests.of(&frame(b'S', b"")), Some(Asked::Other), "it is only prepared");
        assert_eq!(requests.of(&frame(b'B', b"\0s1\0\0\0\0\0\0\0")), None);
        assert_eq!(requests.of(&frame(b'E', b"\0\0\0\0\0")), None);
        assert_eq!(requests.of(&frame(b'S', b"")), Some(Asked::Commit));
    }

    #[test]
    fn a_transactions_begin_is_no_statement_and_a_word_that_starts_like_commit_is_no_commit() {
        let mut requests = Requests::default();
        assert_eq!(requests.of(&frame(b'Q', b"begin; set local x = 1\0")), Some(Asked::Other));
        assert_eq!(requests.of(&frame(b'Q', b"committed\0")), Some(Asked::Statement));
        assert_eq!(requests.of(&frame(b'Q', b"LISTEN \"a\"\0")), Some(Asked::Listen));
        requests.of(&frame(b'P', b"s2\0select 1\0\0\0"));
        requests.of(&frame(b'B', b"\0s2\0\0\0\0\0\0\0"));
        requests.of(&frame(b'E', b"\0\0\0\0\0"));
        assert_eq!(requests.of(&frame(b'S', b"")), Some(Asked::Statement));
    }

    #[tokio::test]
    async fn a_client_that_asks_for_encryption_is_told_no_and_then_gives_its_name() {
        let mut bytes = Vec::from([0, 0, 0, 8]);
        bytes.extend(80_877_103_i32.to_be_bytes());
        let body = b"\0\x03\0\0user\0me\0application_name\0worker-7\0\0";
        bytes.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        let mut told = Vec::new();
        let start = start(&mut bytes.as_slice(), &mut told).await.unwrap();
        assert_eq!((start.application_name.as_str(), told.as_slice()), ("worker-7", &b"N"[..]));
        assert!(start.message.ends_with(body));
    }

    #[tokio::test]
    async fn a_message_longer_than_any_of_ours_is_refused() {
        assert!(Frame::read(&mut &b"Q\x7f\xff\xff\xff"[..]).await.is_err());
    }
}
