//! Holds a share of a private cluster until its standard input ends.
//!
//! `hold-cluster HOME [full|test-only] [DIRECTORY OF THE PROGRAMS]` prints how the server came up,
//! its process id and a URL on one line, and at the end whether it stopped the server. It keeps a
//! cluster up for a look with psql, and is the process that the crash tests kill.

use std::{
    env,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use paceline_postgres::{Cluster, Options};

fn main() -> ExitCode {
    match hold() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "hold-cluster: {text}");
            ExitCode::FAILURE
        }
    }
}

fn hold() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args_os().skip(1);
    let home = PathBuf::from(arguments.next().ok_or("which home?")?);
    let mut options = match arguments.next() {
        None => Options::new(home),
        Some(durability) if durability == "full" => Options::new(home),
        Some(durability) if durability == "test-only" => Options::for_tests(home),
        Some(other) => return Err(format!("{} is no durability", other.display()).into()),
    };
    options.binaries = arguments.next().map(PathBuf::from);

    let cluster = Cluster::start(&options)?;
    let pid = cluster.pid().ok_or("the server ended at once")?;
    writeln!(io::stdout(), "{:?} {pid} {}", cluster.how(), cluster.url("postgres"))?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let last_words = if cluster.release()? { "stopped" } else { "kept" };
    writeln!(io::stdout(), "{last_words}")?;
    Ok(())
}
