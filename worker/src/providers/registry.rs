//! The providers that this process has an application at, by name.

use super::{Accounts, Source};
use paceline_shared::Provider;
use std::{collections::BTreeMap, sync::Arc};

/// Both sides of one provider.
#[derive(Clone, Debug)]
struct Entry {
    source: Arc<dyn Source>,
    accounts: Arc<dyn Accounts>,
}

/// The providers that can be asked.
#[derive(Clone, Debug, Default)]
pub struct Registry(BTreeMap<Provider, Entry>);

impl Registry {
    /// Adds a provider, or puts another client in its place.
    #[must_use]
    pub fn with<C: Source + Accounts + 'static>(mut self, provider: Provider, client: C) -> Self {
        let client = Arc::new(client);
        let entry = Entry { source: client.clone(), accounts: client };
        self.0.insert(provider, entry);
        self
    }

    /// How to read from it; `None`: there is no application of ours there.
    #[must_use]
    pub fn source(&self, provider: Provider) -> Option<&Arc<dyn Source>> {
        self.0.get(&provider).map(|entry| &entry.source)
    }

    /// How to connect accounts with it.
    #[must_use]
    pub fn accounts(&self, provider: Provider) -> Option<&Arc<dyn Accounts>> {
        self.0.get(&provider).map(|entry| &entry.accounts)
    }

    /// All of them.
    pub fn providers(&self) -> impl Iterator<Item = Provider> + '_ {
        self.0.keys().copied()
    }
}
