//! When the certificates of a process end, for those who watch it: one that is not renewed takes the process
//! out of service at a moment that is known long before.

use plugrank_runtime::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::{
    PeerTlsOptions, ServerTlsOptions,
    files::{Authorities, Identity},
};

/// The certificates that a process shows, and those of the authorities that it trusts, as their files say now.
#[derive(Clone, Debug)]
pub struct CertificateExpiry {
    identities: Vec<(&'static str, Identity)>,
    authorities: Vec<(&'static str, Authorities)>,
}

impl CertificateExpiry {
    /// Of all files that the settings name.
    ///
    /// # Errors
    /// When a file cannot be used, or one is missing.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn watch(server: &ServerTlsOptions, peers: &PeerTlsOptions) -> Result<Self, String> {
        let named = [
            (SERVER_CERTIFICATE, SERVER_KEY, server.files()),
            (PEER_CERTIFICATE, PEER_KEY, peers.files()),
        ];
        let mut identities = Vec::new();
        for (certificate, key, files) in named {
            if let Some(files) = files {
                let watched = Identity::watch((certificate, files.0), (key, files.1))?;
                identities.push((certificate, watched));
            }
        }
        let authorities = peers.ca_file.iter().map(|file| {
            Authorities::watch(PEER_AUTHORITIES, file).map(|watched| (PEER_AUTHORITIES, watched))
        });
        Ok(Self { identities, authorities: authorities.collect::<Result<_, _>>()? })
    }

    /// By the setting that names a file, the moment at which the first of its certificates ends, in seconds
    /// since 1970.
    pub fn ends(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let identities = self.identities.iter().map(|(setting, file)| (*setting, file.ends()));
        let authorities =
            self.authorities.iter().map(|(setting, file)| (*setting, file.now().ends));
        identities.chain(authorities)
    }

    /// Registers `certificate_expiry_timestamp_seconds{file="server.tls.certificate_file"}`.
    pub fn register(self, metrics: &Metrics) {
        metrics.register(|to| to.register_collector(Box::new(self)));
    }
}

impl Collector for CertificateExpiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut ends = self.ends().peekable();
        if ends.peek().is_none() {
            return Ok(());
        }
        let mut descriptor = encoder.encode_descriptor(
            "certificate_expiry_timestamp_seconds",
            "When the first certificate of a file ends, in seconds since 1970",
            None,
            MetricType::Gauge,
        )?;
        for (setting, seconds) in ends {
            ConstGauge::new(seconds).encode(descriptor.encode_family(&[("file", setting)])?)?;
        }
        Ok(())
    }
}

pub(crate) const SERVER_CERTIFICATE: &str = "server.tls.certificate_file";
pub(crate) const SERVER_KEY: &str = "server.tls.key_file";
pub(crate) const PEER_CERTIFICATE: &str = "peers.tls.certificate_file";
pub(crate) const PEER_KEY: &str = "peers.tls.key_file";
pub(crate) const PEER_AUTHORITIES: &str = "peers.tls.ca_file";
