//! `users.parquet`.

use arrow_schema::DataType;
use plugrank_contract::{User, UserId};
use serde::Serialize;

use super::{
    FeatureType, TableTarget, checks,
    columns::required,
    features::{FeatureColumns, FeatureRow},
    parquet_file::ParquetFile,
};
use crate::{
    DatasetError,
    names::{USER_COLUMNS, USER_ID, USERS},
};

/// Writes `users.parquet`.
pub struct UserWriter {
    file: ParquetFile,
    features: FeatureColumns,
}

/// A row by the names of its columns.
#[derive(Serialize)]
struct UserColumns<'a> {
    user_id: &'a str,
    #[serde(flatten)]
    features: FeatureRow<'a>,
}

impl UserWriter {
    /// Starts the file in a folder, or as a stream. `features` are the further columns and what they hold, in
    /// this order.
    ///
    /// # Errors
    /// A feature takes a reserved or repeated name, or the file cannot be made.
    pub fn create(
        target: impl Into<TableTarget>,
        features: &[(&str, FeatureType)],
    ) -> Result<Self, DatasetError> {
        let target = target.into();
        let features = FeatureColumns::new(&target.path(USERS), features, &USER_COLUMNS)?;
        let mut fields = vec![required(USER_ID, DataType::Utf8)];
        fields.extend(features.fields());
        Ok(Self { file: ParquetFile::create(target, USERS, fields)?, features })
    }

    /// Appends a user. The caller sees to it that ids differ; a reader checks it.
    ///
    /// # Errors
    /// The id is empty or too long, a feature has no column that holds it, or the disk refuses.
    pub fn write(&mut self, row: User) -> Result<(), DatasetError> {
        let (path, number) = (self.file.path(), self.file.rows());
        checks::id(path, USER_ID, number, row.user_id.as_str(), UserId::MAX_BYTES)?;
        self.features.check(path, number, &row.features)?;
        self.file.write(&UserColumns {
            user_id: row.user_id.as_str(),
            features: self.features.row(&row.features),
        })
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(self) -> Result<u64, DatasetError> {
        self.file.finish()
    }
}
