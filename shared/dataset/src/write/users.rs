//! `users.parquet`.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use plugrank_contract::{User, UserId};

use super::{
    FeatureType, TableTarget, checks,
    parquet_file::{CHUNK_ROWS, ParquetFile},
};
use crate::{
    DatasetError,
    names::{USER_COLUMNS, USER_ID, USERS},
};

/// Writes `users.parquet`.
pub struct UserWriter {
    file: ParquetFile,
    features: Vec<(String, FeatureType)>,
    waiting: Vec<User>,
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
        checks::feature_columns(&target.path(USERS), features, &USER_COLUMNS)?;
        let mut fields = vec![Field::new(USER_ID, DataType::Utf8, false)];
        let further = features.iter().map(|(name, of)| Field::new(*name, of.data_type(), true));
        fields.extend(further);
        let file = ParquetFile::create(target, USERS, fields)?;
        let features = features.iter().map(|(name, of)| ((*name).to_owned(), *of)).collect();
        Ok(Self { file, features, waiting: Vec::new() })
    }

    /// Appends a user. That ids differ is the caller's promise; a reader checks it.
    ///
    /// # Errors
    /// The id is empty or too long, a feature has no column that holds it, or the disk refuses.
    pub fn write(&mut self, row: User) -> Result<(), DatasetError> {
        let number = self.file.rows() + self.waiting.len() as u64;
        let path = self.file.path();
        checks::id(path, USER_ID, number, row.user_id.as_str(), UserId::MAX_BYTES)?;
        checks::known_features(path, number, &row.features, &self.features)?;
        self.waiting.push(row);
        if self.waiting.len() == CHUNK_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<u64, DatasetError> {
        self.flush()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<(), DatasetError> {
        let rows = std::mem::take(&mut self.waiting);
        let ids = rows.iter().map(|row| Some(row.user_id.as_str()));
        let mut columns = vec![Arc::new(ids.collect::<StringArray>()) as ArrayRef];
        for (name, of) in &self.features {
            let values = rows.iter().map(|row| row.features.get(name));
            columns.push(of.column(values));
        }
        self.file.write(columns)
    }
}
