//! Base addresses from the settings, and the endpoints behind them.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use plugrank_contract::CallError;

/// A base address: a host by address or by name.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    secured: bool,
    host: Host,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

#[derive(Clone, Debug)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// One socket that answers, as it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// Whether it is called over TLS.
    pub(crate) secured: bool,
    pub(crate) socket: SocketAddr,
    /// What the `Host` header says.
    pub(crate) host: String,
    /// Without a slash at its end.
    pub(crate) path: String,
}

impl Target {
    /// Where calls go, without a slash at its end.
    pub(crate) fn base_url(&self) -> String {
        let scheme = if self.secured { "https" } else { "http" };
        format!("{scheme}://{}{}", self.socket, self.path)
    }
}

impl Address {
    /// # Errors
    /// `InvalidArgument` when it is no http URL.
    pub(crate) fn parse(url: &str) -> Result<Self, CallError> {
        let no_address = || {
            CallError::invalid(format!(
                "`{url}` is no address of a service; expected something like http://host:8081"
            ))
        };
        let parsed: Uri = url.parse().map_err(|_| no_address())?;
        let secured = match parsed.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(no_address()),
        };
        // Of an IPv6 address the URL keeps the brackets.
        let host = parsed.host().filter(|host| !host.is_empty()).ok_or_else(no_address)?;
        let host = match host.trim_matches(['[', ']']).parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(host.to_owned()),
        };
        let port = parsed.port_u16().unwrap_or(if secured { 443 } else { 80 });
        Ok(Self { secured, host, port, path: parsed.path().trim_end_matches('/').to_owned() })
    }

    /// Whether it is called over TLS.
    pub(crate) fn is_secured(&self) -> bool {
        self.secured
    }

    /// The name that has to be resolved, and the port.
    pub(crate) fn name(&self) -> Option<(&str, u16)> {
        match &self.host {
            Host::Ip(_) => None,
            Host::Name(name) => Some((name, self.port)),
        }
    }

    /// The endpoint of a host given by its address.
    pub(crate) fn fixed(&self) -> Option<Target> {
        match self.host {
            Host::Ip(ip) => Some(self.at(SocketAddr::new(ip, self.port))),
            Host::Name(_) => None,
        }
    }

    /// The endpoint at one of the addresses the host resolved to.
    pub(crate) fn at(&self, socket: SocketAddr) -> Target {
        let host = match &self.host {
            Host::Ip(_) => socket.to_string(),
            Host::Name(name) => format!("{name}:{}", self.port),
        };
        Target { secured: self.secured, socket, host, path: self.path.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_by_address_and_by_name() {
        let fixed = |url: &str| Address::parse(url).unwrap().fixed().unwrap().base_url();
        assert_eq!(fixed("http://127.0.0.1:8081/"), "http://127.0.0.1:8081");
        assert_eq!(fixed("http://[::1]:8081/behind/"), "http://[::1]:8081/behind");
        let named = Address::parse("http://scoring").unwrap();
        assert_eq!(named.name(), Some(("scoring", 80)));
        let target = named.at("10.0.0.3:80".parse().unwrap());
        assert_eq!(
            (target.base_url().as_str(), target.host.as_str()),
            ("http://10.0.0.3:80", "scoring:80")
        );
        let secured = Address::parse("https://scoring").unwrap();
        assert_eq!(secured.name(), Some(("scoring", 443)));
        assert_eq!(secured.at("10.0.0.3:443".parse().unwrap()).base_url(), "https://10.0.0.3:443");
        for bad in ["scoring:8081", "ftp://scoring:8081", "", "http://", "http://:80", "/x"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
