//! Tokens: signed here, as an issuer would.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{AccessOptions, Denied, Gate, LimitOptions, Scope};

/// The RSA key and the signed token of RFC 7515, appendix A.2.
const RSA: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// An issuer with a key for each of two algorithms.
struct Issuer {
    points: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
    random: SystemRandom,
}

fn encoded(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let points =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let edwards = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            points: EcdsaKeyPair::from_pkcs8(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                points.as_ref(),
                &random,
            )
            .unwrap(),
            edwards: Ed25519KeyPair::from_pkcs8(edwards.as_ref()).unwrap(),
            random,
        }
    }

    fn point_key(&self) -> Value {
        let point = self.points.public_key().as_ref();
        let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "kid": "points", "use": "sig", "x": x, "y": y})
    }

    fn edwards_key(&self) -> Value {
        let x = BASE64.encode(self.edwards.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "edwards", "alg": "EdDSA", "x": x})
    }

    fn rsa_key() -> Value {
        json!({"kty": "RSA", "kid": "rsa", "n": RSA, "e": "AQAB"})
    }

    fn set(&self) -> Value {
        json!({"keys": [self.point_key(), self.edwards_key(), Self::rsa_key()]})
    }

    fn signed(&self, algorithm: &str, key: &str, claims: &Value) -> String {
        let header = json!({"alg": algorithm, "kid": key, "typ": "JWT"});
        let message = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = match algorithm {
            "EdDSA" => self.edwards.sign(message.as_bytes()).as_ref().to_vec(),
            _ => self.points.sign(&self.random, message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com/", "aud": "plugrank", "sub": "shop",
        "exp": now() + 600, "scope": "openid plugrank:rank plugrank:events",
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

fn without(key: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(key);
    claims
}

/// A gate that takes tokens by a key set, and the folder of that.
fn gate(set: &Value, limits: LimitOptions) -> Result<(Gate, TempDir), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    fs::write(&file, set.to_string()).unwrap();
    let mut options = AccessOptions { limits, ..AccessOptions::default() };
    options.jwt.jwks_file = Some(file);
    options.jwt.issuer = Some("https://login.example.com/".to_owned());
    options.jwt.audience = Some("plugrank".to_owned());
    options.jwt.scope_prefix = "plugrank:".to_owned();
    Ok((Gate::new(&options)?, folder))
}

fn ask(gate: &Gate, token: &str) -> Result<String, Denied> {
    let header = format!("Bearer {token}");
    let caller = gate.admit(Some(header.as_bytes()), &[Scope::Rank])?;
    Ok(caller.unwrap().name().to_owned())
}

#[test]
fn a_valid_token_identifies_its_subject() {
    let issuer = Issuer::new();
    let (gate, _folder) = gate(&issuer.set(), LimitOptions::default()).unwrap();
    for token in [
        issuer.signed("ES256", "points", &claims()),
        issuer.signed("EdDSA", "edwards", &claims()),
        issuer.signed("ES256", "points", &with("aud", json!(["other", "plugrank"]))),
        issuer.signed("ES256", "points", &with("scope", json!(["plugrank:rank"]))),
        // Within the leeway.
        issuer.signed("ES256", "points", &with("exp", json!(now() - 5))),
    ] {
        // Twice: the second time it is cached.
        assert_eq!(ask(&gate, &token).as_deref(), Ok("shop"));
        assert_eq!(ask(&gate, &token).as_deref(), Ok("shop"));
    }
    let mut machine = without("sub");
    machine["client_id"] = json!("batch");
    let machine = issuer.signed("ES256", "points", &machine);
    assert_eq!(ask(&gate, &machine).as_deref(), Ok("batch"));
    let other = issuer.signed("ES256", "points", &with("scope", json!("plugrank:events rank")));
    let denied = Denied::Scope { caller: "shop".to_owned(), needs: &[Scope::Rank] };
    assert_eq!(ask(&gate, &other), Err(denied));
}

#[test]
fn an_invalid_token_is_refused_with_the_reason() {
    let issuer = Issuer::new();
    let (gate, _folder) = gate(&issuer.set(), LimitOptions::default()).unwrap();
    let signed = |claims: &Value| issuer.signed("ES256", "points", claims);
    let good = signed(&claims());
    let (message, _) = good.rsplit_once('.').unwrap();
    let swapped = {
        let parts: Vec<&str> = good.split('.').collect();
        let admin = encoded(&with("scope", json!("plugrank:admin")));
        format!("{}.{admin}.{}", parts[0], parts[2])
    };
    let none = format!("{}.{}.", encoded(&json!({"alg": "none"})), encoded(&claims()));
    for (token, why) in [
        (swapped, "has a wrong signature"),
        (Issuer::new().signed("ES256", "points", &claims()), "has a wrong signature"),
        (format!("{message}."), "has a wrong signature"),
        (none, "cannot be read"),
        (
            issuer.signed("ES256", "unknown", &claims()),
            "is signed with a key that is not in the key set",
        ),
        (issuer.signed("ES256", "edwards", &claims()), "is not signed in the way of its key"),
        (issuer.signed("EdDSA", "points", &claims()), "is not signed in the way of its key"),
        // HS256 with the public key as its secret: the algorithm-confusion attack (RFC 8725, 2.1).
        (issuer.signed("HS256", "rsa", &claims()), "is not signed in the way of its key"),
        (signed(&with("iss", json!("https://evil.example.com/"))), "is of another issuer"),
        (signed(&with("aud", json!("another"))), "is for another audience (claim aud)"),
        (signed(&with("nbf", json!(now() + 600))), "is not valid yet"),
        (signed(&without("aud")), "lacks one of the claims exp, iss and aud"),
        (signed(&without("iss")), "lacks one of the claims exp, iss and aud"),
        (signed(&without("sub")), "names no subject"),
        (signed(&with("sub", json!("s".repeat(200)))), "names no subject"),
        ("a.b.c".to_owned(), "cannot be read"),
        (format!("{}.b.c", "a".repeat(20_000)), "is too long"),
    ] {
        assert_eq!(ask(&gate, &token), Err(Denied::Token(why)), "{token}");
    }
    assert_eq!(ask(&gate, &signed(&with("exp", json!(now() - 600)))), Err(Denied::Expired));
}

#[test]
fn rsa_signatures_are_checked() {
    let set = json!({"keys": [Issuer::rsa_key()]});
    let (gate, _folder) = gate(&set, LimitOptions::default()).unwrap();
    // Its signature is valid; its claims are those of another issuer.
    let refused = ask(&gate, RSA_TOKEN).unwrap_err();
    assert_ne!(refused, Denied::Token("has a wrong signature"));
    assert!(matches!(refused, Denied::Expired | Denied::Token(_)), "{refused}");
    let changed = RSA_TOKEN.replace("cC4hiUPoj9E", "cC4hiUPoj9F");
    assert_eq!(ask(&gate, &changed), Err(Denied::Token("has a wrong signature")));
}

#[test]
fn unsafe_key_sets_are_refused() {
    let secret = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "s"}]});
    let encryption = json!({"keys": [{"kty": "RSA", "use": "enc", "n": RSA, "e": "AQAB"}]});
    let wrong =
        json!({"keys": [{"kty": "RSA", "alg": "ES256", "kid": "w", "n": RSA, "e": "AQAB"}]});
    for (set, why) in [
        (secret, "shared secret"),
        (encryption, "no key for signatures"),
        (wrong, "algorithm that is not taken"),
        (json!({"keys": []}), "no key for signatures"),
        (json!([]), "no JSON Web Key Set"),
    ] {
        let error = gate(&set, LimitOptions::default()).err().unwrap();
        assert!(error.contains(why) && error.contains("access.jwt.jwks_file"), "{error}");
    }
}

#[tokio::test]
async fn removing_a_key_invalidates_its_tokens() {
    let issuer = Issuer::new();
    let (gate, folder) = gate(&issuer.set(), LimitOptions::default()).unwrap();
    let token = issuer.signed("ES256", "points", &claims());
    assert!(ask(&gate, &token).is_ok());
    let file = folder.path().join("jwks.json");
    fs::write(&file, json!({"keys": [issuer.edwards_key()]}).to_string()).unwrap();
    gate.refresh().await;
    let why = "is signed with a key that is not in the key set";
    assert_eq!(ask(&gate, &token), Err(Denied::Token(why)));
    assert!(ask(&gate, &issuer.signed("EdDSA", "edwards", &claims())).is_ok());
}

#[test]
fn tokens_of_a_subject_share_one_limit() {
    let issuer = Issuer::new();
    let limits = LimitOptions { per_day: Some(2), ..LimitOptions::default() };
    let (gate, _folder) = gate(&issuer.set(), limits).unwrap();
    let token = |subject: &str, more: u64| {
        let mut claims = with("sub", json!(subject));
        claims["exp"] = json!(now() + 600 + more);
        issuer.signed("ES256", "points", &claims)
    };
    assert!(ask(&gate, &token("shop", 1)).is_ok() && ask(&gate, &token("shop", 2)).is_ok());
    let refused = ask(&gate, &token("shop", 3)).unwrap_err();
    let Denied::Quota { after, .. } = refused else { panic!("{refused}") };
    assert!(after > Duration::from_secs(40_000));
    assert!(ask(&gate, &token("other", 1)).is_ok());
}
