//! Standard error: log lines and live bars, which must not write over each other. Everything that goes
//! there goes through one [`Screen`].

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use std::io::{self, IsTerminal as _, Write};
use tracing_subscriber::fmt::MakeWriter;

/// Standard error. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    bars: MultiProgress,
    is_terminal: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), is_terminal }
    }

    /// Whether somebody watches: bars make sense.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// A line of its own, above the bars.
    pub(crate) fn line(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Adds a bar below the others. Only for terminals.
    pub(crate) fn add(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    fn write(&self, text: &[u8]) {
        let write = || {
            let mut err = io::stderr().lock();
            // Where standard error is gone, there is nobody left to tell.
            let _gone = err.write_all(text).and_then(|()| err.flush());
        };
        if self.is_terminal { self.bars.suspend(write) } else { write() }
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// For whole lines at a time, as the log writes them.
impl Write for &Screen {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        Screen::write(self, text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
