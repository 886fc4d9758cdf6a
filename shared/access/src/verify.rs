//! Signatures of tokens, checked by ring, which TLS uses already.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result, new_error},
    signature::{self as traits, Verifier},
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// Only checks: nothing here signs. A second call changes nothing.
pub(crate) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
        verifier_factory: |algorithm, key| Ok(Box::new(Check::new(*algorithm, key)?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    let _ = PROVIDER.install_default();
}

/// Algorithms with a public key, by the family of the key. Without a shared secret (HS*), without `none`,
/// which the library does not know.
pub(crate) fn algorithms(family: AlgorithmFamily) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match family {
        AlgorithmFamily::Rsa => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmFamily::Ec => &[ES256, ES384],
        AlgorithmFamily::Ed => &[EdDSA],
        AlgorithmFamily::Hmac => &[],
    }
}

struct Check {
    algorithm: Algorithm,
    with: With,
    key: DecodingKey,
}

#[derive(Clone, Copy)]
enum With {
    Rsa(&'static RsaParameters),
    Point(&'static dyn VerificationAlgorithm),
}

impl Check {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self> {
        let with = match algorithm {
            Algorithm::RS256 => With::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => With::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => With::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => With::Rsa(&RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => With::Rsa(&RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => With::Rsa(&RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => With::Point(&ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => With::Point(&ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => With::Point(&ED25519),
            // Shared secrets, and what later versions of the library accept.
            _ => return Err(new_error(ErrorKind::UnsupportedAlgorithm)),
        };
        if !algorithms(key.family()).contains(&algorithm) {
            return Err(new_error(ErrorKind::InvalidKeyFormat));
        }
        Ok(Self { algorithm, with, key: key.clone() })
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), traits::Error> {
        let checked = match (self.with, self.key.kind()) {
            (With::Rsa(with), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(with, message, signature)
            }
            (With::Point(with), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(with, point).verify(message, signature)
            }
            // Keys come out of a key set, which has these two forms alone.
            _ => return Err(traits::Error::new()),
        };
        checked.map_err(|_| traits::Error::new())
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
