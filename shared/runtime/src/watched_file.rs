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

type Read<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync>;

/// What a file says, or several that belong together. They are small, and their content is compared: times
/// of changes tell little of volumes that are swapped by a link, as Kubernetes mounts secrets.
pub struct WatchedFile<T> {
    files: Vec<NamedFile>,
    read: Read<T>,
    seen: Mutex<Seen>,
    value: ArcSwap<T>,
}

/// A file, and the setting that names it.
struct NamedFile {
    setting: &'static str,
    path: PathBuf,
}

/// The latest attempt, so that what is wrong is said once.
enum Seen {
    Content(Vec<Vec<u8>>),
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
        Self::open_all(&[(setting, path)], move |contents| read(&contents[0]))
    }

    /// The same of several files, each with the setting that names it, whose contents go together: `read` is
    /// given them in this order.
    ///
    /// # Errors
    /// When one cannot be read, or what they say together is refused.
    pub fn open_all(
        files: &[(&'static str, &Path)],
        read: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let named =
            |&(setting, path): &(&'static str, &Path)| NamedFile { setting, path: path.to_owned() };
        let files: Vec<NamedFile> = files.iter().map(named).collect();
        let contents = files.iter().map(|file| {
            let refused = |error| format!("the file {file}: {error}");
            fs::read(&file.path).map_err(refused)
        });
        let contents = contents.collect::<Result<Vec<_>, _>>()?;
        let value =
            read(&contents).map_err(|error| format!("the file {}: {error}", Names(&files)))?;
        Ok(Self {
            files,
            read: Box::new(read),
            seen: Mutex::new(Seen::Content(contents)),
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
        let contents = self.contents().await;
        let files = Names(&self.files);
        let mut seen = self.seen.lock();
        let contents = match contents {
            Ok(contents) => contents,
            Err(error) => {
                if !matches!(&*seen, Seen::Unreadable(before) if *before == error) {
                    tracing::error!(error, "a file cannot be read; what it said holds");
                    *seen = Seen::Unreadable(error);
                }
                return false;
            }
        };
        if matches!(&*seen, Seen::Content(before) if *before == contents) {
            return false;
        }
        let value = (self.read)(&contents);
        *seen = Seen::Content(contents);
        match value {
            Ok(value) => {
                tracing::info!(%files, "a file has changed and was read again");
                self.value.store(Arc::new(value));
                true
            }
            Err(error) => {
                tracing::error!(%files, error, "a file is wrong; what it said before holds");
                false
            }
        }
    }

    async fn contents(&self) -> Result<Vec<Vec<u8>>, String> {
        let mut contents = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let content = tokio::fs::read(&file.path).await;
            contents.push(content.map_err(|error| format!("{file}: {error}"))?);
        }
        Ok(contents)
    }
}

impl fmt::Display for NamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.setting)
    }
}

/// Files in a text.
struct Names<'a>(&'a [NamedFile]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(NamedFile::to_string).collect();
        f.write_str(&names.join(" with "))
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
        write!(f, "WatchedFile({})", Names(&self.files))
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
    async fn a_watched_file_changes_only_to_valid_content() {
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

    #[tokio::test]
    async fn watched_files_that_belong_together_change_together() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::write(&one, "1").unwrap();
        fs::write(&other, "1").unwrap();
        let alike = |contents: &[Vec<u8>]| match contents[0] == contents[1] {
            true => number(&contents[0]),
            false => Err("they do not go together".to_owned()),
        };
        let files = [("a.one", one.as_path()), ("a.other", other.as_path())];
        let file = WatchedFile::open_all(&files, alike).unwrap();
        fs::write(&one, "2").unwrap();
        assert!(!file.refresh().await && *file.get() == 1, "half of the change");
        fs::write(&other, "2").unwrap();
        assert!(file.refresh().await && *file.get() == 2);
        fs::write(&one, "3").unwrap();
        let error = WatchedFile::open_all(&files, alike).unwrap_err();
        let named =
            error.contains("one (a.one) with ") && error.contains("other (a.other): they do");
        assert!(named, "{error}");
    }

    #[test]
    fn an_invalid_file_is_named_with_its_setting_at_start() {
        let error = WatchedFile::open("a.b", Path::new("/nowhere"), number).unwrap_err();
        assert!(error.starts_with("the file /nowhere (a.b): "), "{error}");
    }
}
