//! Section `[access]` of the settings.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use garde::Validate;
use plugrank_settings::{
    list,
    rules::{holds, optional_path},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{KeyEntry, LimitOptions, key_entry::names};

/// Whether callers must show who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// No authentication: every caller may do everything.
    None,
    /// Authentication is required, on loopback too.
    Required,
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricsAccess {
    /// Everybody.
    #[default]
    Open,
    /// Keys with the scope metrics or admin.
    Key,
}

/// Who may ask what: API keys, tokens of an issuer, limits (docs/security.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AccessOptions {
    /// Whether callers must authenticate with a key or a token. Absent: they must as soon as a key or
    /// an issuer of tokens is configured; without either, a port that is not on loopback is refused.
    #[garde(custom(without_keys(&self.keys, &self.keys_file, &self.jwt)))]
    #[schemars(example = &"required")]
    pub auth: Option<Auth>,
    /// API keys by name, as `plugrank keys new` prints them.
    #[garde(dive, custom(names))]
    #[schemars(extend("examples" = [{ "shop": {
        "scopes": ["rank", "events"],
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    } }]))]
    pub keys: BTreeMap<String, KeyEntry>,
    /// File with further keys, a line each; read again when it changes.
    #[garde(custom(optional_path))]
    #[schemars(example = &"/etc/plugrank/keys.toml")]
    pub keys_file: Option<PathBuf>,
    /// Who may read /metrics.
    #[garde(skip)]
    pub metrics: MetricsAccess,
    /// Names that requests may be sent to (header `Host`, without the port); others are answered 421.
    /// Absent: any.
    #[serde(deserialize_with = "list::texts")]
    #[garde(skip)]
    #[schemars(extend("examples" = [["rank.example.com"]]))]
    pub hosts: Vec<String>,
    /// Tokens of an issuer.
    #[garde(dive)]
    pub jwt: JwtOptions,
    /// What a caller may ask where its key does not say.
    #[garde(dive)]
    pub limits: LimitOptions,
    /// Browsers of other origins.
    #[garde(dive)]
    pub cors: CorsOptions,
}

/// JSON Web Tokens of an issuer, by its public keys. Signed with RS256, RS384, RS512, PS256, PS384,
/// PS512, ES256, ES384 or EdDSA, whichever goes with the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct JwtOptions {
    /// File with the issuer's JSON Web Key Set; read again when it changes. Absent: no token is taken.
    #[garde(custom(optional_path))]
    #[schemars(example = &"/etc/plugrank/jwks.json")]
    pub jwks_file: Option<PathBuf>,
    /// Required value of the claim `iss`.
    #[garde(custom(needed(self.jwks_file.is_some())))]
    #[schemars(example = &"https://login.example.com/")]
    pub issuer: Option<String>,
    /// Value that the claim `aud` must contain.
    #[garde(custom(needed(self.jwks_file.is_some())))]
    #[schemars(example = &"plugrank")]
    pub audience: Option<String>,
    /// Claim with the scopes: a text with spaces, or a list.
    #[garde(length(min = 1))]
    pub scope_claim: String,
    /// Prefix of this server's scopes in that claim, such as "plugrank:"; scopes without it are
    /// ignored.
    #[garde(skip)]
    pub scope_prefix: String,
    /// Clock skew allowed when expiry is checked, in seconds.
    #[garde(range(min = 0, max = 600))]
    pub leeway_s: u64,
}

impl Default for JwtOptions {
    fn default() -> Self {
        Self {
            jwks_file: None,
            issuer: None,
            audience: None,
            scope_claim: "scope".to_owned(),
            scope_prefix: String::new(),
            leeway_s: 30,
        }
    }
}

/// Which pages of other origins may call the API from a browser (CORS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct CorsOptions {
    /// Origins, each with its scheme; "*" for all. Absent: none.
    #[serde(deserialize_with = "list::texts")]
    #[garde(custom(known_origins))]
    #[schemars(extend("examples" = [["https://shop.example.com"]]))]
    pub origins: Vec<String>,
    /// How long a browser may cache the answer to a preflight request, in seconds.
    #[garde(range(min = 0, max = 86_400))]
    pub max_age_s: u32,
}

impl Default for CorsOptions {
    fn default() -> Self {
        Self { origins: Vec::new(), max_age_s: 600 }
    }
}

impl AccessOptions {
    /// Whether any key or issuer is known.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        has_keys(&self.keys, &self.keys_file, &self.jwt)
    }

    /// Whether callers must show who they are.
    #[must_use]
    pub fn asks(&self) -> bool {
        match self.auth {
            Some(Auth::None) => false,
            Some(Auth::Required) => true,
            None => self.has_keys(),
        }
    }

    /// Refuses a port that is not on loopback and has no authentication. `key` is the setting that names
    /// it.
    ///
    /// # Errors
    /// What to write into the settings instead.
    pub fn check_bind(&self, key: &str, bind: SocketAddr) -> Result<(), String> {
        if bind.ip().is_loopback() || self.auth.is_some() || self.has_keys() {
            return Ok(());
        }
        Err(format!(
            "{key} is {bind}, which is not on loopback, and no key is required: every caller may \
             do everything. Make a key with `plugrank keys new --scope rank,events --name shop` and put \
             it into access.keys or access.keys_file; or, where something in front asks, write down \
             access.auth = \"none\""
        ))
    }
}

fn has_keys(
    keys: &BTreeMap<String, KeyEntry>,
    keys_file: &Option<PathBuf>,
    jwt: &JwtOptions,
) -> bool {
    !keys.is_empty() || keys_file.is_some() || jwt.jwks_file.is_some()
}

/// `none` and keys do not go together; `required` needs one.
fn without_keys(
    keys: &BTreeMap<String, KeyEntry>,
    keys_file: &Option<PathBuf>,
    jwt: &JwtOptions,
) -> impl FnOnce(&Option<Auth>, &()) -> garde::Result {
    let known = has_keys(keys, keys_file, jwt);
    move |auth, ()| match (auth, known) {
        (Some(Auth::None), true) => Err(garde::Error::new(
            "absent or \"required\" where access.keys, access.keys_file or access.jwt.jwks_file is \
             there",
        )),
        (Some(Auth::Required), false) => Err(garde::Error::new(
            "absent or \"none\" while access.keys, access.keys_file and access.jwt.jwks_file are \
             absent",
        )),
        _ => Ok(()),
    }
}

fn needed(needed: bool) -> impl FnOnce(&Option<String>, &()) -> garde::Result {
    move |given, ()| {
        let there = given.as_deref().is_some_and(|given| !given.is_empty());
        holds(there || !needed, || "given where access.jwt.jwks_file is".to_owned())
    }
}

fn known_origins(origins: &[String], _: &()) -> garde::Result {
    let known = |origin: &str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']))
    };
    let alone = origins.len() == 1 && origins[0] == "*";
    match origins.iter().find(|origin| !known(origin)) {
        Some(origin) if !alone => Err(garde::Error::new(format!(
            "origins such as https://shop.example.com, or \"*\" alone, not {origin:?}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AccessOptions, String> {
        let options: AccessOptions = toml::from_str(text).map_err(|error| error.to_string())?;
        options.validate().map_err(|report| report.to_string())?;
        Ok(options)
    }

    const KEY: &str = "keys.shop = { scopes = [\"rank\"], sha256 = \
        \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\" }\n";

    #[test]
    fn keys_are_required_once_one_is_configured() {
        assert!(!read("").unwrap().asks());
        assert!(read(KEY).unwrap().asks());
        assert!(read("keys_file = \"k\"").unwrap().asks());
        assert!(!read("auth = \"none\"").unwrap().asks());
        for wrong in [format!("auth = \"none\"\n{KEY}"), "auth = \"required\"".to_owned()] {
            assert!(read(&wrong).unwrap_err().starts_with("auth:"), "{wrong}");
        }
    }

    #[test]
    fn a_public_port_needs_keys_or_auth_none() {
        let everywhere = "0.0.0.0:80".parse().unwrap();
        let error = read("").unwrap().check_bind("server.bind", everywhere).unwrap_err();
        for said in ["server.bind is 0.0.0.0:80", "plugrank keys new", "access.auth = \"none\""] {
            assert!(error.contains(said), "{error}");
        }
        for fine in [KEY, "auth = \"none\"", "keys_file = \"k\""] {
            assert_eq!(read(fine).unwrap().check_bind("server.bind", everywhere), Ok(()), "{fine}");
        }
        for loopback in ["127.0.0.1:80", "127.8.0.1:80", "[::1]:80"] {
            let loopback = loopback.parse().unwrap();
            assert_eq!(read("").unwrap().check_bind("server.bind", loopback), Ok(()));
        }
    }

    #[test]
    fn invalid_options_are_named() {
        for (text, field) in [
            ("jwt.jwks_file = \"k\"", "jwt.issuer"),
            ("jwt.jwks_file = \"k\"\njwt.issuer = \"i\"", "jwt.audience"),
            ("cors.origins = [\"shop.example.com\"]", "cors.origins"),
            ("cors.origins = [\"*\", \"https://a\"]", "cors.origins"),
            ("cors.origins = \"https://a/b\"", "cors.origins"),
            (&KEY.replace("\"rank\"", ""), "keys.shop.scopes"),
            (&KEY.replace("shop", "\"a b\""), "keys"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(field), "{text}: {error}");
        }
        assert!(read("cors.origins = \"https://a, http://b:8080\"").is_ok());
        assert!(read("cors.origins = \"*\"").is_ok());
    }
}
