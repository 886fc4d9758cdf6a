//! A folder with a bundle and the dataset it ranks.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Where a shop lies below one of the folders that hold the program: an installation, a checkout.
const SHIPPED: [&str; 2] = ["share/plugrank/simshop", "models/simshop"];
/// What tells one shop from another: the files that its rows and graphs come from.
const TOLD_BY: [&str; 5] = [
    "bundle/manifest.json",
    "dataset/dataset.json",
    "dataset/items.parquet",
    "dataset/users.parquet",
    "dataset/interactions.parquet",
];

/// A folder with a bundle and the dataset it ranks.
#[derive(Clone, Debug)]
pub struct Shop(PathBuf);

impl Shop {
    /// The shop in `folder`.
    ///
    /// # Errors
    /// When a part is missing.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = fs::canonicalize(folder)
            .with_context(|| format!("the shop {} cannot be read (--shop)", folder.display()))?;
        match TOLD_BY.iter().find(|file| !folder.join(file).exists()) {
            None => Ok(Self(folder)),
            Some(missing) => bail!(
                "{} holds no shop: there is no {missing}; --shop names a folder with a bundle and \
                 its dataset",
                folder.display()
            ),
        }
    }

    /// The shop that came with this program.
    ///
    /// # Errors
    /// When none did.
    pub fn shipped() -> Result<Self> {
        let program = env::current_exe().context("where this program lies is not known")?;
        let program = fs::canonicalize(&program).unwrap_or(program);
        match shipped_beside(&program) {
            Some(folder) => Self::open(&folder),
            None => bail!(
                "no shop came with {}; name one with --shop (models/simshop of a checkout is one)",
                program.display()
            ),
        }
    }

    /// Where its bundles lie: the one that is served, and others to load beside it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The model bundle.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.0.join("bundle")
    }

    /// The dataset folder.
    #[must_use]
    pub fn dataset(&self) -> PathBuf {
        self.0.join("dataset")
    }

    /// Another shop has another one.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for file in TOLD_BY {
            let path = self.0.join(file);
            let content =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            hasher.update(&(content.len() as u64).to_le_bytes());
            hasher.update(&content);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn shipped_beside(program: &Path) -> Option<PathBuf> {
    let folders = program.ancestors().skip(1).take(4);
    let mut places = folders.flat_map(|folder| SHIPPED.map(|shop| folder.join(shop)));
    places.find(|place| place.is_dir())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn shop(folder: &Path) {
        for file in TOLD_BY {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
    }

    #[test]
    fn an_installed_shop_is_found_from_the_program() {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("bin/plugrank");
        assert_eq!(shipped_beside(&program), None);
        let place = folder.path().join("share/plugrank/simshop");
        shop(&place);
        assert_eq!(shipped_beside(&program), Some(place));
    }

    #[test]
    fn a_missing_part_is_named() {
        let folder = TempDir::new().unwrap();
        shop(folder.path());
        assert!(Shop::open(folder.path()).is_ok());
        fs::remove_file(folder.path().join("dataset/users.parquet")).unwrap();
        let message = Shop::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("there is no dataset/users.parquet"), "{message}");
    }

    #[test]
    fn any_change_of_the_shop_changes_its_digest() {
        let folder = TempDir::new().unwrap();
        shop(folder.path());
        let shop = Shop::open(folder.path()).unwrap();
        let before = shop.digest().unwrap();
        assert_eq!(shop.digest().unwrap(), before);
        fs::write(folder.path().join("bundle/manifest.json"), "another").unwrap();
        assert_ne!(shop.digest().unwrap(), before);
    }
}
