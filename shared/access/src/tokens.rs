//! Tokens of an issuer (JSON Web Tokens, RFC 7519), by its key set in a file (RFC 7517).

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use plugrank_runtime::WatchedFile;
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    AccessOptions, Caller, Denied, Digest, JwtOptions, LimitOptions, ScopeSet, limits::Limits,
    verify,
};

/// Longest token, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// Tokens remembered as good, so that a signature is checked once.
const REMEMBERED: usize = 10_000;
/// Subjects whose limits are counted: those that ask most.
const SUBJECTS: usize = 100_000;
/// Longest subject that is a caller's name, in bytes.
const MAX_SUBJECT: usize = 128;

/// Checks tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    file: WatchedFile<KeySet>,
    options: JwtOptions,
    everybody: LimitOptions,
    good: Cache<Digest, Arc<Caller>>,
    limits: Cache<String, Arc<Limits>>,
}

/// A key of the set with how it is used.
struct KnownKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

struct KeySet(Vec<KnownKey>);

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// What is read of a token; the issuer, the audience and the times are checked by the library.
#[derive(Deserialize)]
struct Claims {
    exp: u64,
    sub: Option<String>,
    client_id: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Tokens {
    /// `None` where the settings name no key set.
    pub(crate) fn new(options: &AccessOptions) -> Result<Option<Self>, String> {
        let Some(path) = options.jwt.jwks_file.as_deref() else { return Ok(None) };
        verify::install();
        Ok(Some(Self {
            file: WatchedFile::open("access.jwt.jwks_file", path, read)?,
            options: options.jwt.clone(),
            everybody: options.limits.clone(),
            good: Cache::new(REMEMBERED),
            limits: Cache::new(SUBJECTS),
        }))
    }

    /// Whose token it is. `digest` is that of the token.
    pub(crate) fn caller(
        &self,
        token: &str,
        digest: Digest,
        now: SystemTime,
    ) -> Result<Arc<Caller>, Denied> {
        if let Some(caller) = self.good.get(&digest) {
            return Ok(caller);
        }
        if token.len() > MAX_BYTES {
            return Err(Denied::Token("is too long"));
        }
        let caller = Arc::new(self.check(token)?);
        // One that has expired meanwhile is refused when the caller is checked.
        if caller.expires.is_some_and(|expires| expires > now) {
            self.good.insert(digest, Arc::clone(&caller));
        }
        Ok(caller)
    }

    fn check(&self, token: &str) -> Result<Caller, Denied> {
        let header = decode_header(token).map_err(|_| Denied::Token("cannot be read"))?;
        let set = self.file.get();
        let key = set.find(header.kid.as_deref())?;
        if !key.algorithms.contains(&header.alg) {
            return Err(Denied::Token("is not signed in the way of its key"));
        }
        let JwtOptions { issuer, audience, leeway_s, .. } = &self.options;
        let mut rules = Validation::new(header.alg);
        rules.leeway = *leeway_s;
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(&[issuer.as_deref().unwrap_or_default()]);
        rules.set_audience(&[audience.as_deref().unwrap_or_default()]);
        let claims =
            decode::<Claims>(token, &key.key, &rules).map_err(|error| refused(&error))?.claims;
        let expires = claims.exp.saturating_add(*leeway_s);
        // A machine's token may name itself as the client alone.
        let subject = claims.sub.clone().or_else(|| claims.client_id.clone());
        let name = subject.filter(|name| (1..=MAX_SUBJECT).contains(&name.len()));
        let name = name.ok_or(Denied::Token("names no subject"))?;
        let fresh = || Ok::<_, Infallible>(Arc::new(Limits::new(&self.everybody)));
        let Ok(limits) = self.limits.get_or_insert_with(&name, fresh);
        Ok(Caller {
            scopes: self.scopes(&claims),
            limits,
            name,
            expires: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expires)),
        })
    }

    /// Scopes of other servers, and what is no scope at all, are left alone.
    fn scopes(&self, claims: &Claims) -> ScopeSet {
        let named: Vec<&str> = match claims.more.get(&self.options.scope_claim) {
            Some(Value::String(text)) => text.split_ascii_whitespace().collect(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let ours = named
            .iter()
            .filter_map(|name| name.strip_prefix(self.options.scope_prefix.as_str())?.parse().ok());
        ours.collect()
    }

    pub(crate) async fn refresh(&self) {
        if self.file.refresh().await {
            // A key that is gone takes its tokens along.
            self.good.clear();
        }
    }
}

impl KeySet {
    /// The key of that id; the only one for a token that names none.
    fn find(&self, id: Option<&str>) -> Result<&KnownKey, Denied> {
        let found = match (id, &*self.0) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), all) => all.iter().find(|key| key.id.as_deref() == Some(id)),
        };
        found.ok_or(Denied::Token("is signed with a key that is not in the key set"))
    }
}

fn read(text: &[u8]) -> Result<KeySet, String> {
    let set: JwkSet =
        serde_json::from_slice(text).map_err(|error| format!("is no JSON Web Key Set: {error}"))?;
    // Keys for encryption are others' business.
    let signing = |key: &&Jwk| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let keys = set.keys.iter().filter(signing).map(known).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err("has no key for signatures".to_owned()) } else { Ok(KeySet(keys)) }
}

fn known(jwk: &Jwk) -> Result<KnownKey, String> {
    let id = jwk.common.key_id.clone();
    let called = id.as_deref().unwrap_or("without an id");
    let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {called}: {error}"))?;
    let of_family = verify::algorithms(key.family());
    if of_family.is_empty() {
        return Err(format!("key {called} is a shared secret; only public keys are taken"));
    }
    let algorithms: Vec<Algorithm> = match jwk.common.key_algorithm {
        None => of_family.to_vec(),
        Some(named) => {
            let named = named.to_string().parse::<Algorithm>().ok();
            of_family.iter().copied().filter(|one| Some(*one) == named).collect()
        }
    };
    match algorithms.is_empty() {
        true => Err(format!("key {called} is for an algorithm that is not taken here")),
        false => Ok(KnownKey { id, algorithms, key }),
    }
}

/// What a library's error means, in words that are safe to send.
fn refused(error: &jsonwebtoken::errors::Error) -> Denied {
    Denied::Token(match error.kind() {
        ErrorKind::ExpiredSignature => return Denied::Expired,
        ErrorKind::ImmatureSignature => "is not valid yet",
        ErrorKind::InvalidIssuer => "is of another issuer",
        ErrorKind::InvalidAudience => "is for another audience (claim aud)",
        ErrorKind::MissingRequiredClaim(_) => "lacks one of the claims exp, iss and aud",
        ErrorKind::InvalidSignature => "has a wrong signature",
        _ => "cannot be read",
    })
}
