//! The address of a database behind a Unix socket, as both libpq and sqlx read it.

use std::{fmt::Write, path::Path};

/// The role that owns the cluster.
pub(crate) const SUPERUSER: &str = "paceline";

/// `postgres://paceline@localhost/<database>?host=<directory of the socket>`.
pub(crate) fn database_url(database: &str, socket_directory: &Path) -> String {
    let mut url = format!("postgres://{SUPERUSER}@localhost/");
    percent_encode(&mut url, database.as_bytes(), b"");
    url.push_str("?host=");
    percent_encode(&mut url, socket_directory.as_os_str().as_encoded_bytes(), b"/");
    url
}

/// Encodes everything but RFC 3986's unreserved characters and `keep`. That is more than a query
/// needs: sqlx reads `+` as a blank where libpq does not.
fn percent_encode(url: &mut String, text: &[u8], keep: &[u8]) {
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_directory_is_left_readable() {
        assert_eq!(
            database_url("paceline", Path::new("/var/lib/paceline/pg15/run")),
            "postgres://paceline@localhost/paceline?host=/var/lib/paceline/pg15/run"
        );
    }

    #[test]
    fn what_a_url_would_misread_is_encoded() {
        assert_eq!(
            database_url("a/b", Path::new("/tmp/my data+é%&#")),
            "postgres://paceline@localhost/a%2Fb?host=/tmp/my%20data%2B%C3%A9%25%26%23"
        );
    }
}
