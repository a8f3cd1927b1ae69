//! A database for one test, with the schema in it, dropped when the test ends.

use crate::server::Server;
use paceline_shared::db;
use std::{ops::Deref, sync::Arc};

/// A database of its own. Derefs to a pool with the settings that the application's have.
#[derive(Debug)]
pub struct TestDb {
    pool: db::Db,
    url: String,
    name: String,
    server: Arc<Server>,
}

impl TestDb {
    /// A fresh one.
    pub async fn new() -> Self {
        let server = Server::share().await;
        let name = server.create().await.expect("a database for the test");
        let url = server.url(&name);
        let pool = db::Db::new(&url, db::Route::Direct, "paceline-tests", 10).expect("a pool");
        Self { pool, url, name, server }
    }

    /// Its address, for a process of its own.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Deref for TestDb {
    type Target = db::Db;
    fn deref(&self) -> &db::Db {
        &self.pool
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // Whoever is still connected is cut off: processes of a test that failed, and this pool.
        if let Err(error) = self.server.drop_database(&self.name)
            && !std::thread::panicking()
        {
            panic!("dropping {}: {error:#}", self.name);
        }
    }
}
