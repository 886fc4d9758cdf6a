//! What is kept between runs of `plugrank demo`.

use std::{
    env, fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Shop;
use crate::load::LoadReport;

/// Says what the store holds; written once it does.
const FILE: &str = "loaded.json";
const STORE: &str = "store.redb";

/// What the store of a demo holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoState {
    /// Of the shop.
    digest: String,
    /// Of the program that loaded it: another one may keep its store otherwise.
    version: String,
    dataset: String,
    items: u64,
    users: u64,
    first_user: String,
}

impl DemoState {
    /// After a load.
    ///
    /// # Errors
    /// When there is no user to rank for.
    pub fn new(digest: String, report: &LoadReport) -> Result<Self> {
        let first = report.sample_users.first().context("the dataset has no users")?;
        Ok(Self {
            digest,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dataset: report.dataset.clone(),
            items: report.items,
            users: report.users,
            first_user: first.to_string(),
        })
    }

    /// As an earlier run left it; none when there was none, or it did not get as far.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Whether this program loaded that shop.
    #[must_use]
    pub fn holds(&self, digest: &str) -> bool {
        self.digest == digest && self.version == env!("CARGO_PKG_VERSION")
    }

    /// A user to rank for.
    #[must_use]
    pub fn first_user(&self) -> &str {
        &self.first_user
    }

    /// For later runs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes what the folder has, first what says that the store is whole. A store that the
    /// environment puts into another place is not the demo's to remove.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget(folder: &Path) -> Result<()> {
        let [loaded, store, snapshots] =
            [FILE, STORE, "store.redb.snapshots"].map(|name| folder.join(name));
        for (path, removed) in [
            (&loaded, fs::remove_file(&loaded)),
            (&store, fs::remove_file(&store)),
            (&snapshots, fs::remove_dir_all(&snapshots)),
        ] {
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).context(format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for DemoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} items, {} users)", self.dataset, self.items, self.users)
    }
}

/// Where state is kept when the command line names no folder, as the XDG base directories have it.
///
/// # Errors
/// When there is no home.
pub fn default_state() -> Result<PathBuf> {
    let named = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = named("XDG_STATE_HOME")
        .or_else(|| Some(named("HOME")?.join(".local/state")))
        .context("neither XDG_STATE_HOME nor HOME names a folder; name one with --state")?;
    Ok(state.join("plugrank/demo"))
}

/// The settings of a demo (TOML); everything else keeps its default.
#[must_use]
pub fn settings_file(shop: &Shop, folder: &Path, port: u16) -> String {
    // JSON strings are TOML basic strings too.
    let quoted = |path: PathBuf| serde_json::Value::from(path.to_string_lossy()).to_string();
    format!(
        "# Written anew by each `plugrank demo`.\n\
         server.bind = \"127.0.0.1:{port}\"\n\
         store.path = {}\n\
         bundle.path = {}\n\
         models.folder = {}\n\
         telemetry.log_level = \"warn\"\n",
        quoted(folder.join(STORE)),
        quoted(shop.bundle()),
        quoted(shop.folder().to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn state() -> DemoState {
        let text = r#"{"digest": "a", "version": "0", "dataset": "simshop", "items": 2, "users": 1,
            "first_user": "u0"}"#;
        DemoState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..serde_json::from_str(text).unwrap()
        }
    }

    #[test]
    fn the_state_is_found_until_it_is_reset() {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("store.redb");
        assert_eq!(DemoState::read(folder.path()), None);
        state().write(folder.path()).unwrap();
        fs::write(&store, "rows").unwrap();
        assert_eq!(DemoState::read(folder.path()), Some(state()));
        DemoState::forget(folder.path()).unwrap();
        assert_eq!(DemoState::read(folder.path()), None);
        assert!(!store.exists());
        // Nothing left to remove is no failure.
        DemoState::forget(folder.path()).unwrap();
    }

    #[test]
    fn another_shop_or_program_version_loads_again() {
        assert!(state().holds("a"));
        assert!(!state().holds("b"));
        assert!(!DemoState { version: "0.0.0".to_owned(), ..state() }.holds("a"));
    }

    #[test]
    fn the_written_settings_are_valid() {
        let folder = TempDir::new().unwrap();
        let shop = Shop::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/simshop"));
        let text = settings_file(&shop.unwrap(), folder.path(), 9000);
        let path = folder.path().join("plugrank.toml");
        fs::write(&path, text).unwrap();
        let settings = crate::Settings::from_sources(Some(&path), [].into()).unwrap();
        assert_eq!(settings.server.bind.port(), 9000);
    }
}
