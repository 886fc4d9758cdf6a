//! The one line that says what a process is.

use std::net::SocketAddr;

use plugrank_runtime::build;

use crate::{Settings, cli::Role, settings::StoreKind};

/// What is known of a process before it serves.
pub(crate) struct StartLine {
    role: &'static str,
    store: String,
    admin: Option<SocketAddr>,
    tls: bool,
    peers: String,
}

impl StartLine {
    pub(crate) fn new(role: Role, settings: &Settings) -> Self {
        let peers = &settings.peers;
        let named = [
            ("retrieval", &peers.retrieval_url),
            ("embedding", &peers.embedding_url),
            ("scoring", &peers.scoring_url),
            ("reranking", &peers.reranking_url),
        ];
        let called = named.iter().filter(|(_, urls)| !urls.is_empty());
        Self {
            role: role.name(),
            // Addresses of Redis may hold passwords.
            store: match settings.store.kind {
                StoreKind::Embedded => format!("embedded {}", settings.store.path.display()),
                StoreKind::Redis => "redis".to_owned(),
            },
            admin: settings.admin.bind,
            tls: settings.server.tls.is_on(),
            peers: called.map(|(role, _)| *role).collect::<Vec<_>>().join(", "),
        }
    }

    /// Says that the process serves a bundle, which came `from` there, at an address.
    pub(crate) fn serving(&self, bundle: &str, from: &str, address: SocketAddr) {
        tracing::info!(
            version = build::VERSION,
            commit = build::COMMIT,
            role = self.role,
            bundle,
            from,
            store = self.store,
            %address,
            tls = self.tls,
            admin = self.admin.map(tracing::field::display),
            roles_elsewhere = (!self.peers.is_empty()).then_some(&*self.peers),
            "serving"
        );
    }
}
