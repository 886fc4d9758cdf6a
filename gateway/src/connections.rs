//! Counts open connections, and refuses those beyond the limit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{HttpRequest, dev::Extensions};

/// Counts open connections. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    limit: usize,
    open: Arc<AtomicUsize>,
}

/// Counted for as long as it lives.
struct OpenConnection {
    over_limit: bool,
    open: Arc<AtomicUsize>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, open: Arc::default() }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Notes a new connection, for as long as its data lives.
    pub(crate) fn opened(&self, data: &mut Extensions) {
        let others = self.open.fetch_add(1, Ordering::Relaxed);
        data.insert(OpenConnection {
            over_limit: others >= self.limit,
            open: Arc::clone(&self.open),
        });
    }

    /// Whether the request came over a connection beyond the limit.
    pub(crate) fn over_limit(request: &HttpRequest) -> bool {
        request.conn_data::<OpenConnection>().is_some_and(|connection| connection.over_limit)
    }
}
