//! A client of a running server, for commands at a terminal.

use std::{fmt::Write as _, fs, io::Write, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::{
    Agent, Body, RequestBuilder,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArg {
    /// Address of the REST API, http or https.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// API key, where the server asks for one. From the environment it is in no list of processes.
    #[arg(long, value_name = "KEY", env = "PLUGRANK_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// File of the authorities (PEM) to trust for https, in place of the system's.
    #[arg(long, value_name = "FILE", env = "PLUGRANK_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// A running server in place of what the settings name.
#[derive(Clone, Debug, clap::Args)]
pub struct RunningServerArg {
    /// A running server, which goes on serving: address of its REST API, http or https.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    /// Its API key with the scope `admin`, where it asks for one. From the environment it is in no list of
    /// processes.
    #[arg(long, value_name = "KEY", env = "PLUGRANK_KEY", hide_env_values = true)]
    key: Option<String>,
    /// File of the authorities (PEM) to trust for https, in place of the system's.
    #[arg(long, value_name = "FILE", env = "PLUGRANK_CA_FILE")]
    ca_file: Option<PathBuf>,
}

impl RunningServerArg {
    /// The server, where one is named.
    #[must_use]
    pub fn server(&self) -> Option<ServerArg> {
        let Self { url, key, ca_file } = self.clone();
        Some(ServerArg { url: url?, key, ca_file })
    }
}

/// A client of a running server.
#[derive(Clone)]
pub struct ServerClient {
    agent: Agent,
    url: String,
    /// As `Authorization` has it.
    key: Option<String>,
}

impl ServerClient {
    /// Of a server.
    ///
    /// # Errors
    /// When its address is no address of the web, or the authorities cannot be read.
    pub fn new(ServerArg { url, key, ca_file }: &ServerArg) -> Result<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("--url is `{url}`; it must begin with http:// or https://");
        }
        let secured = url.starts_with("https://");
        let tls = if secured { tls(ca_file.as_ref())? } else { TlsConfig::default() };
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // A problem document says more than a status.
            .http_status_as_error(false)
            .tls_config(tls)
            .build();
        let key = key.as_ref().map(|key| format!("Bearer {key}"));
        Ok(Self { agent: config.into(), url: url.trim_end_matches('/').to_owned(), key })
    }

    /// Gets text.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn text(&self, path: &str) -> Result<String> {
        let answer = self.shown(self.agent.get(format!("{}{path}", self.url))).call();
        self.succeeded(answer)?.read_to_string().context("the answer broke off")
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// As [`ServerClient::text`].
    pub fn get(&self, path: &str) -> Result<Value> {
        serde_json::from_str(&self.text(path)?).context("the answer is no JSON")
    }

    /// Writes what comes, however long it takes; how many bytes.
    ///
    /// # Errors
    /// As [`ServerClient::text`], and where the answer breaks off or cannot be written.
    pub fn download(&self, path: &str, to: &mut impl Write) -> Result<u64> {
        let request = self.shown(self.agent.get(format!("{}{path}", self.url)));
        let request = request.config().timeout_global(None).build();
        let mut reader = self.succeeded(request.call())?.into_reader();
        std::io::copy(&mut reader, to).context("the answer broke off")
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As [`ServerClient::text`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.shown(self.agent.post(format!("{}{path}", self.url))).send_json(body);
        self.succeeded(answer)?.read_json().context("the answer is no JSON")
    }

    /// With the key, if there is one.
    fn shown<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("authorization", key),
            None => request,
        }
    }

    fn succeeded(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Body> {
        let answer = answer.with_context(|| {
            format!("no server answers at {}; start one with `plugrank demo`", self.url)
        })?;
        let status = answer.status();
        let mut body = answer.into_body();
        if status.is_success() {
            return Ok(body);
        }
        let text = body.read_to_string().unwrap_or_default();
        bail!("{}", refusal(status.as_u16(), &text))
    }
}

/// Whom to trust.
fn tls(ca_file: Option<&PathBuf>) -> Result<TlsConfig> {
    let roots = match ca_file {
        Some(path) => {
            let named = || format!("the file {} (--ca-file)", path.display());
            let pem = fs::read(path).with_context(named)?;
            let items: Vec<PemItem<'_>> =
                parse_pem(&pem).collect::<Result<_, _>>().with_context(named)?;
            let certificates: Vec<Certificate<'_>> = items
                .into_iter()
                .filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                bail!("{}: there is no certificate in PEM form", named());
            }
            certificates
        }
        None => {
            let known = plugrank_tls::system_roots();
            known.iter().map(|root| Certificate::from_der(root).to_owned()).collect()
        }
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(plugrank_tls::provider())
        .build())
}

/// An id or a name as a part of a path.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match plain(byte) {
            true => path.push(char::from(byte)),
            // Writing to a string cannot fail.
            false => _ = write!(path, "%{byte:02X}"),
        }
    }
    path
}

/// What a problem document says: each field with what is wrong.
fn refusal(status: u16, text: &str) -> String {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let told = |of: &Value| of.as_str().map(ToOwned::to_owned);
    let named = errors.iter().filter_map(|error| {
        Some(format!("{}: {}", told(&error["field"])?, told(&error["detail"])?))
    });
    let named: Vec<String> = named.collect();
    let detail = if named.is_empty() { told(&problem["detail"]) } else { Some(named.join("; ")) };
    format!("the server answered {status}: {}", detail.unwrap_or_else(|| text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_printed_with_its_fields() {
        let fields = r#"{"detail": "two", "errors": [{"field": "k", "detail": "is 0; 1 to 100"}]}"#;
        assert_eq!(refusal(400, fields), "the server answered 400: k: is 0; 1 to 100");
        assert_eq!(refusal(503, r#"{"detail": "busy"}"#), "the server answered 503: busy");
        assert_eq!(refusal(502, "bad gateway\n"), "the server answered 502: bad gateway");
    }

    #[test]
    fn an_address_that_cannot_be_called_is_named() {
        let server = ServerArg { url: "host:80".to_owned(), key: None, ca_file: None };
        let message = ServerClient::new(&server).err().unwrap().to_string();
        assert!(message.contains("--url is `host:80`"), "{message}");
        let ca_file = Some("/nowhere/ca.pem".into());
        let server = ServerArg { url: "https://host".to_owned(), key: None, ca_file };
        let message = ServerClient::new(&server).err().unwrap().to_string();
        assert!(message.contains("/nowhere/ca.pem (--ca-file)"), "{message}");
    }
}
