//! A client of a running server, for commands at a terminal.

use std::{fmt::Write as _, io::Write, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::{Agent, Body, RequestBuilder, http::Response};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArg {
    /// Address of the REST API; http alone.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// API key, where the server asks for one. From the environment it is in no list of processes.
    #[arg(long, value_name = "KEY", env = "PLUGRANK_KEY", hide_env_values = true)]
    pub key: Option<String>,
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
    /// When its address is no http address.
    pub fn new(ServerArg { url, key }: &ServerArg) -> Result<Self> {
        if !url.starts_with("http://") {
            bail!("--url is `{url}`; it must begin with http://");
        }
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // A problem document says more than a status.
            .http_status_as_error(false)
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
    fn a_problem_document_is_told_by_its_fields() {
        let fields = r#"{"detail": "two", "errors": [{"field": "k", "detail": "is 0; 1 to 100"}]}"#;
        assert_eq!(refusal(400, fields), "the server answered 400: k: is 0; 1 to 100");
        assert_eq!(refusal(503, r#"{"detail": "busy"}"#), "the server answered 503: busy");
        assert_eq!(refusal(502, "bad gateway\n"), "the server answered 502: bad gateway");
    }

    #[test]
    fn an_address_that_cannot_be_called_is_named() {
        let server = ServerArg { url: "https://host".to_owned(), key: None };
        let message = ServerClient::new(&server).err().unwrap().to_string();
        assert!(message.contains("--url is `https://host`"), "{message}");
    }
}
