//! How the process ends: the exit codes, and which error means which of them.

use std::process::ExitCode;

/// The exit codes that scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line or the configuration is wrong. clap ends with this code as well.
    Usage = 2,
    /// Finished, but some syncs did not complete.
    SyncsFailed = 3,
    /// Not ready: away, or not migrated.
    NotReady = 4,
    /// Ended by a signal before it was done.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Marks an error that ends the process with a code other than 1: attach it with `context`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ending {
    /// The configuration is wrong.
    #[error("the configuration cannot be used")]
    Usage,
    /// Somebody has to wait, or to migrate.
    #[error("not ready")]
    NotReady,
    /// A signal came first.
    #[error("interrupted")]
    Interrupted,
    /// Whoever read the output has seen enough: that is success.
    #[error("nobody reads the output any more")]
    BrokenPipe,
}

/// What was asked for cannot be meant; ends the process with the code for wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misused(pub(crate) String);

/// The code for an error. [`Exit::Done`]: it is none that anybody has to be told.
pub(crate) fn code(error: &anyhow::Error) -> Exit {
    if error.is::<Misused>() {
        return Exit::Usage;
    }
    match error.downcast_ref() {
        Some(Ending::BrokenPipe) => Exit::Done,
        Some(Ending::Usage) => Exit::Usage,
        Some(Ending::NotReady) => Exit::NotReady,
        Some(Ending::Interrupted) => Exit::Interrupted,
        None => Exit::Failed,
    }
}

/// The error with its causes in one line. What a cause repeats of the text before it is left out.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};

    #[test]
    fn a_mark_decides_the_code_however_deep_it_lies() {
        let error = anyhow!("no such key").context(Ending::Usage).context("starting the worker");
        assert_eq!(code(&error), Exit::Usage);
        assert_eq!(
            one_line(&error),
            "starting the worker: the configuration cannot be used: no such key"
        );
        let error = Err::<(), _>(Ending::BrokenPipe).context("printing").unwrap_err();
        assert_eq!(code(&error), Exit::Done);
        assert_eq!(code(&anyhow!("anything else")), Exit::Failed);
        let misused = anyhow::Error::new(Misused("no such worker".to_owned())).context("draining");
        assert_eq!(code(&misused), Exit::Usage);
        assert_eq!(one_line(&misused), "draining: no such worker");
    }

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let error = anyhow!("refused").context("while migrating: refused").context("migrating");
        assert_eq!(one_line(&error), "migrating: while migrating: refused");
    }
}
