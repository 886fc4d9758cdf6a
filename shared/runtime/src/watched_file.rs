//! Files that are read again when they change: keys, certificates, tokens.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// How often [`WatchedFile::follow`] looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Read<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

/// What a file says. It is small, and its content is compared: times of changes tell little of volumes
/// that are swapped by a link, as Kubernetes mounts secrets.
pub struct WatchedFile<T> {
    setting: &'static str,
    path: PathBuf,
    read: Read<T>,
    seen: Mutex<Seen>,
    value: ArcSwap<T>,
}

/// The latest attempt, so that what is wrong is said once.
enum Seen {
    Content(Vec<u8>),
    Unreadable(String),
}

impl<T> WatchedFile<T> {
    /// Reads the file that `setting` names; `read` makes the value out of its bytes.
    ///
    /// # Errors
    /// When it cannot be read, or its content is refused.
    pub fn open(
        setting: &'static str,
        path: &Path,
        read: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let named = |error: String| format!("the file {} ({setting}): {error}", path.display());
        let content = fs::read(path).map_err(|error| named(error.to_string()))?;
        let value = read(&content).map_err(named)?;
        Ok(Self {
            setting,
            path: path.to_owned(),
            read: Box::new(read),
            seen: Mutex::new(Seen::Content(content)),
            value: ArcSwap::from_pointee(value),
        })
    }

    /// What it says.
    pub fn get(&self) -> Arc<T> {
        self.value.load_full()
    }

    /// Reads it again; whether what it says has changed. One that is gone or wrong is logged, and what
    /// it said before holds.
    pub async fn refresh(&self) -> bool {
        let content = tokio::fs::read(&self.path).await;
        let (setting, path) = (self.setting, self.path.display());
        let mut seen = self.seen.lock();
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                let error = error.to_string();
                if !matches!(&*seen, Seen::Unreadable(before) if *before == error) {
                    tracing::error!(setting, %path, error, "a file cannot be read; what it said holds");
                    *seen = Seen::Unreadable(error);
                }
                return false;
            }
        };
        if matches!(&*seen, Seen::Content(before) if *before == content) {
            return false;
        }
        let value = (self.read)(&content);
        *seen = Seen::Content(content);
        match value {
            Ok(value) => {
                tracing::info!(setting, %path, "a file has changed and was read again");
                self.value.store(Arc::new(value));
                true
            }
            Err(error) => {
                tracing::error!(setting, %path, error, "a file is wrong; what it said before holds");
                false
            }
        }
    }
}

impl<T: Send + Sync + 'static> WatchedFile<T> {
    /// Reads it again whenever it changes, for as long as anybody holds it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn follow(file: &Arc<Self>) {
        let file = Arc::downgrade(file);
        tokio::spawn(async move {
            let mut turns = tokio::time::interval(LOOK_EVERY);
            loop {
                turns.tick().await;
                let Some(file) = file.upgrade() else { return };
                file.refresh().await;
            }
        });
    }
}

impl<T> fmt::Debug for WatchedFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &[u8]) -> Result<i32, String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| format!("{text:?} is no number"))
    }

    #[tokio::test]
    async fn what_a_file_says_changes_only_to_what_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let file = WatchedFile::open("a.b", &path, number).unwrap();
        assert!(!file.refresh().await);
        fs::write(&path, "2").unwrap();
        assert!(file.refresh().await && *file.get() == 2);
        fs::write(&path, "two").unwrap();
        assert!(!file.refresh().await && *file.get() == 2);
        fs::remove_file(&path).unwrap();
        assert!(!file.refresh().await && *file.get() == 2);
        fs::write(&path, "3").unwrap();
        assert!(file.refresh().await && *file.get() == 3);
    }

    #[test]
    fn a_file_that_is_wrong_at_the_start_is_named_with_its_setting() {
        let error = WatchedFile::open("a.b", Path::new("/nowhere"), number).unwrap_err();
        assert!(error.starts_with("the file /nowhere (a.b): "), "{error}");
    }
}
