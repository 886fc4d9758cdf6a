//! What the checks of callers' and of servers' certificates have in common.

/// The methods about signatures of a verifier whose `authorities` have the real one in this field: rustls has
/// two traits with the same methods.
macro_rules! signatures_checked_by {
    ($verifier:ident) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.authorities.now().$verifier.verify_tls12_signature(message, certificate, signature)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.authorities.now().$verifier.verify_tls13_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.authorities.now().$verifier.supported_verify_schemes()
        }
    };
}

pub(crate) use signatures_checked_by;
