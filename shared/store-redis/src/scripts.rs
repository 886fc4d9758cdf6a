//! Scripts that servers run.

use std::sync::LazyLock;

/// A script and the hash that servers know it by.
pub(crate) struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }

    pub(crate) fn source(&self) -> &'static str {
        self.source
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }
}

macro_rules! scripts {
    ($($name:ident: $($file:literal)+),+ $(,)?) => {
        $(pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($(include_str!($file)),+)));)+
    };
}

scripts! {
    APPEND_EVENTS: "history.lua" "append_events.lua",
    CHANGES_AFTER: "changes_after.lua",
    COUNT_EVENTS: "count_events.lua",
    PUT_DOCUMENT: "put_document.lua",
    PUT_HISTORY: "history.lua" "put_history.lua",
    RENEW_LEASE: "renew_lease.lua",
}
