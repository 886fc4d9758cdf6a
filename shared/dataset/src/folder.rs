//! A dataset folder, opened for reading.

use std::path::{Path, PathBuf};

use plugrank_contract::User;

use crate::{
    Batches, DatasetError, DatasetItem, DatasetMeta, InteractionRow, Negatives, Time, TruthRow,
    image_file::read_image,
    names::{INTERACTIONS, ITEMS, TRUTH, USERS},
    read::{self, Rules, first},
};

/// A dataset folder, opened for reading.
///
/// Tables are opened when asked for. Each reader yields batches of rows in the order of the file.
#[derive(Clone, Debug)]
pub struct DatasetFolder {
    root: PathBuf,
    meta: DatasetMeta,
}

impl DatasetFolder {
    /// Opens a folder and reads its `dataset.json`.
    ///
    /// # Errors
    /// The folder or its `dataset.json` cannot be read.
    pub fn open(folder: &Path) -> Result<Self, DatasetError> {
        let root = folder
            .canonicalize()
            .map_err(|source| DatasetError::Io { path: folder.to_owned(), source })?;
        let meta = DatasetMeta::read(&root)?;
        Ok(Self { root, meta })
    }

    /// What `dataset.json` says of the other files.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            milliseconds: self.meta.time == Time::Ms,
            clicks_only: self.meta.negatives == Negatives::Matched,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What it is.
    #[must_use]
    pub fn meta(&self) -> &DatasetMeta {
        &self.meta
    }

    /// Items.
    ///
    /// # Errors
    /// The file or a column of it cannot be read. Rows are checked as they are read: a null, empty,
    /// over-long or repeated id is an error.
    pub fn items(&self) -> Result<Batches<DatasetItem>, DatasetError> {
        first(read::items(&self.root.join(ITEMS), self.rules()))
    }

    /// Users.
    ///
    /// # Errors
    /// As for [`Self::items`].
    pub fn users(&self) -> Result<Batches<User>, DatasetError> {
        first(read::users(&self.root.join(USERS)))
    }

    /// Impressions, with request and position where the file has them.
    ///
    /// # Errors
    /// The file or a column of it cannot be read. Rows are checked as they are read: a null id, a
    /// label other than 0 and 1, and a row out of order are errors.
    pub fn interactions(&self) -> Result<Batches<InteractionRow>, DatasetError> {
        first(read::interactions(&self.root.join(INTERACTIONS), self.rules(), true))
    }

    /// Impressions, leaving `request_id` and `position` unread.
    ///
    /// # Errors
    /// As for [`Self::interactions`].
    pub fn interactions_without_requests(&self) -> Result<Batches<InteractionRow>, DatasetError> {
        first(read::interactions(&self.root.join(INTERACTIONS), self.rules(), false))
    }

    /// True click probabilities, in the order of [`Self::interactions`]; `None` where the folder
    /// has none.
    ///
    /// # Errors
    /// As for [`Self::interactions`].
    pub fn truth(&self) -> Result<Option<Batches<TruthRow>>, DatasetError> {
        let path = self.root.join(TRUTH);
        if !path.exists() {
            return Ok(None);
        }
        first(read::truth(&path, self.rules())).map(Some)
    }

    /// Bytes of an item's image, a JPEG or PNG, by its path in the `image` column.
    ///
    /// # Errors
    /// The path leads out of the folder, or the file is missing, larger than
    /// [`crate::IMAGE_MAX_BYTES`], or of another format.
    pub fn image(&self, image: &str) -> Result<Vec<u8>, DatasetError> {
        read_image(&self.root, image)
    }
}
