//! The token by which roles in other processes know each other.

use std::{path::Path, sync::Arc};

use plugrank_runtime::WatchedFile;

use crate::Digest;

/// Shortest token, in bytes.
const SHORTEST: usize = 32;

/// The tokens of a file, a line each. The first is shown to others, all are taken from them: so that one
/// takes the place of another without a moment when roles refuse each other.
#[derive(Clone, Debug)]
pub struct RoleToken(Arc<WatchedFile<Tokens>>);

struct Tokens {
    /// As it is sent.
    first: String,
    digests: Vec<Digest>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("count", &self.digests.len()).finish()
    }
}

impl RoleToken {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or holds no token that is long enough.
    pub fn open(path: &Path) -> Result<Self, String> {
        Ok(Self(Arc::new(WatchedFile::open("peers.token_file", path, read)?)))
    }

    /// What to send as `Authorization`.
    #[must_use]
    pub fn header(&self) -> String {
        self.0.get().first.clone()
    }

    /// Whether a caller shows a token of the file.
    #[must_use]
    pub fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Ok(shown) = super::gate::bearer(authorization) else { return false };
        let digest = Digest::of_key(shown);
        // All are compared, whichever it is.
        self.0.get().digests.iter().fold(false, |found, known| found | (*known == digest))
    }

    /// The same, read again whenever it changes, for as long as anybody holds it.
    ///
    /// # Errors
    /// As [`RoleToken::open`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn watch(path: &Path) -> Result<Self, String> {
        let token = Self::open(path)?;
        WatchedFile::follow(&token.0);
        Ok(token)
    }
}

fn read(text: &[u8]) -> Result<Tokens, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("is no text: {error}"))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let good =
        |line: &&str| line.len() >= SHORTEST && line.bytes().all(|byte| byte.is_ascii_graphic());
    match lines.iter().position(|line| !good(line)) {
        Some(at) => {
            Err(format!("token {} must be {SHORTEST} or more printable characters", at + 1))
        }
        None => match lines.first() {
            None => Err("has no token; `openssl rand -hex 32` makes one".to_owned()),
            Some(first) => Ok(Tokens {
                first: format!("Bearer {first}"),
                digests: lines.iter().map(|line| Digest::of_key(line)).collect(),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn the_first_token_is_sent_and_all_are_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (old, new) = ("o".repeat(32), "n".repeat(32));
        fs::write(&path, format!("{old}\n")).unwrap();
        let token = RoleToken::open(&path).unwrap();
        let shows = |what: &str| token.admits(Some(format!("Bearer {what}").as_bytes()));
        assert_eq!(token.header(), format!("Bearer {old}"));
        assert!(shows(&old) && !shows(&new) && !token.admits(None));
        fs::write(&path, format!("{new}\n{old}\n")).unwrap();
        token.0.refresh().await;
        assert_eq!(token.header(), format!("Bearer {new}"));
        assert!(shows(&old) && shows(&new) && !shows("o"));
    }

    #[test]
    fn a_short_token_is_refused() {
        assert!(read(b"short\n").unwrap_err().contains("32 or more"));
        assert!(read(b"\n").unwrap_err().contains("openssl rand"));
        assert!(read("é".repeat(40).as_bytes()).is_err());
    }
}
