//! Where the `paceline` binary of this build is. Cargo builds no other package's binary for a test, so
//! one that is missing or older than its sources is built here, by one process at a time.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

/// What the binary is made of, below the workspace.
const SOURCES: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "api",
    "deploy",
    "migrations",
    "shared",
    "tests/simulator",
    "worker",
    ".sqlx",
];

/// The binary, as fresh as its sources.
///
/// Panics when it cannot be built.
pub fn paceline() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let me = std::env::current_exe().expect("the path of this program");
        // target/<profile>/deps/stories-… for a test, target/<profile>/… for a program.
        let profile = me.ancestors().skip(1).find(|path| !path.ends_with("deps"));
        let profile = profile.expect("a target directory");
        let binary = profile.join("paceline");
        let lock = File::create(profile.join(".paceline-tests.lock")).expect("a lock file");
        lock.lock().expect("the lock");
        if !is_fresh(&binary) {
            build(profile);
        }
        binary
    })
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace")
}

fn is_fresh(binary: &Path) -> bool {
    let Ok(built) = fs::metadata(binary).and_then(|found| found.modified()) else { return false };
    SOURCES.iter().all(|source| newest(&workspace().join(source)).is_none_or(|time| time <= built))
}

/// When a file or anything below a directory was last written; `None` when it is not there.
fn newest(path: &Path) -> Option<SystemTime> {
    let found = fs::metadata(path).ok()?;
    if !found.is_dir() {
        return found.modified().ok();
    }
    let below = fs::read_dir(path).ok()?.flatten();
    below.filter_map(|entry| newest(&entry.path())).max()
}

fn build(profile: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(["build", "--package", "paceline", "--bin", "paceline"]);
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => _ = cargo.args(["--profile", name]),
    }
    if let Some(target) = profile.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    let built = cargo.status().expect("running cargo");
    assert!(built.success(), "paceline could not be built");
}
