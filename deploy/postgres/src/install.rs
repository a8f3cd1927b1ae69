//! The command that installs a Postgres server on this platform, for an error message.

use std::fs;

/// What a person types to get a server on this machine.
pub(crate) fn command() -> &'static str {
    if cfg!(target_os = "macos") {
        return "brew install postgresql@17";
    }
    for_release(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

/// The same, by the text of `/etc/os-release`; a distribution is known by its own id or by the ones
/// that it says it is like.
fn for_release(os_release: &str) -> &'static str {
    let mut ids = ["ID=", "ID_LIKE="].into_iter().flat_map(|key| {
        os_release
            .lines()
            .filter_map(move |line| line.strip_prefix(key))
            .flat_map(|ids| ids.trim_matches(['"', '\'']).split_whitespace())
    });
    ids.find_map(by_id).unwrap_or("your package manager (the package is `postgresql`)")
}

fn by_id(id: &str) -> Option<&'static str> {
    Some(match id {
        "debian" | "ubuntu" => "apt-get install postgresql",
        "fedora" | "rhel" | "centos" => "dnf install postgresql-server",
        "alpine" => "apk add postgresql",
        "arch" => "pacman -S postgresql",
        "suse" | "opensuse" => "zypper install postgresql-server",
        "nixos" => "nix-shell -p postgresql",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_id_or_by_what_it_is_like() {
        assert_eq!(for_release("NAME=x\nID=debian\n"), "apt-get install postgresql");
        assert_eq!(
            for_release("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
            "dnf install postgresql-server"
        );
        assert_eq!(for_release("ID=alpine\nVERSION_ID=3.22\n"), "apk add postgresql");
        assert!(for_release("ID=plan9\n").contains("package manager"));
    }
}
