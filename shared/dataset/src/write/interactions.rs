//! `interactions.parquet`.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, StringArray,
};
use arrow_schema::{DataType, Field};
use plugrank_contract::{FeatureValues, ItemId, UserId, feature::Number};

use super::{
    FeatureType, TableTarget, checks,
    parquet_file::{CHUNK_ROWS, ParquetFile},
};
use crate::{
    DatasetError, DatasetRule, InteractionRow,
    names::{
        ACTION, INTERACTION_COLUMNS, INTERACTIONS, ITEM_ID, LABEL, POSITION, PROPENSITY,
        REQUEST_ID, SURFACE, TASK_PREFIX, TIMESTAMP, USER_ID, VALUE,
    },
    order::Order,
};

/// The columns that a log may have beside those of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InteractionColumns {
    /// Further tasks: the column `label_TASK` of each.
    pub tasks: Vec<String>,
    /// `surface` and `propensity`.
    pub shown: bool,
    /// Features of the request, and what they hold.
    pub features: Vec<(String, FeatureType)>,
}

impl InteractionColumns {
    /// Whether a feature may have this name: no column that means something else has it.
    #[must_use]
    pub fn is_feature_name(name: &str) -> bool {
        !INTERACTION_COLUMNS.contains(&name) && !name.starts_with(TASK_PREFIX)
    }
}

/// What the columns of [`InteractionColumns`] hold of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InteractionDetails {
    /// Labels of the further tasks, in their order; a missing one is not known.
    pub labels: Vec<Option<bool>>,
    /// Where in the shop it was shown.
    pub surface: Option<String>,
    /// Probability with which the item stood at its place.
    pub propensity: Option<f32>,
    /// Features of the request.
    pub features: FeatureValues,
}

/// Writes `interactions.parquet`.
pub struct InteractionWriter {
    file: ParquetFile,
    order: Order,
    columns: InteractionColumns,
    waiting: Vec<(InteractionRow, InteractionDetails)>,
}

impl InteractionWriter {
    /// Starts the file in a folder, or as a stream.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(target: impl Into<TableTarget>) -> Result<Self, DatasetError> {
        Self::with_columns(target, InteractionColumns::default())
    }

    /// Starts a file with further columns.
    ///
    /// # Errors
    /// A feature takes a reserved or repeated name, or the file cannot be made.
    pub fn with_columns(
        target: impl Into<TableTarget>,
        columns: InteractionColumns,
    ) -> Result<Self, DatasetError> {
        let target = target.into();
        let labels: Vec<String> =
            columns.tasks.iter().map(|task| format!("{TASK_PREFIX}{task}")).collect();
        let reserved: Vec<&str> =
            INTERACTION_COLUMNS.into_iter().chain(labels.iter().map(String::as_str)).collect();
        let features: Vec<(&str, FeatureType)> =
            columns.features.iter().map(|(name, of)| (name.as_str(), *of)).collect();
        checks::feature_columns(&target.path(INTERACTIONS), &features, &reserved)?;
        let mut fields = vec![
            Field::new(USER_ID, DataType::Utf8, false),
            Field::new(ITEM_ID, DataType::Utf8, false),
            Field::new(TIMESTAMP, DataType::Int64, false),
            Field::new(LABEL, DataType::Int8, false),
            Field::new(REQUEST_ID, DataType::Utf8, true),
            Field::new(POSITION, DataType::Int32, true),
            Field::new(ACTION, DataType::Utf8, true),
            Field::new(VALUE, DataType::Float64, true),
        ];
        fields.extend(labels.iter().map(|label| Field::new(label, DataType::Int8, true)));
        if columns.shown {
            fields.push(Field::new(SURFACE, DataType::Utf8, true));
            fields.push(Field::new(PROPENSITY, DataType::Float32, true));
        }
        fields.extend(features.iter().map(|(name, of)| Field::new(*name, of.data_type(), true)));
        let file = ParquetFile::create(target, INTERACTIONS, fields)?;
        Ok(Self { file, order: Order::default(), columns, waiting: Vec::new() })
    }

    /// Appends an impression.
    ///
    /// # Errors
    /// It comes before the last one, an id is empty or too long, the position does not fit an
    /// int32, or the disk refuses.
    pub fn write(&mut self, row: InteractionRow) -> Result<(), DatasetError> {
        self.write_detailed(row, InteractionDetails::default())
    }

    /// Appends an impression with what further columns hold of it.
    ///
    /// # Errors
    /// As [`Self::write`], and where a feature has no column that holds it.
    pub fn write_detailed(
        &mut self,
        row: InteractionRow,
        details: InteractionDetails,
    ) -> Result<(), DatasetError> {
        let number = self.file.rows() + self.waiting.len() as u64;
        let path = self.file.path();
        checks::id(path, USER_ID, number, row.user_id.as_str(), UserId::MAX_BYTES)?;
        checks::id(path, ITEM_ID, number, row.item_id.as_str(), ItemId::MAX_BYTES)?;
        checks::known_features(path, number, &details.features, &self.columns.features)?;
        if row.position.is_some_and(|position| i32::try_from(position).is_err()) {
            let problem = format!("must be at most {}", i32::MAX);
            return Err(DatasetError::value(path, POSITION, number, DatasetRule::Range, problem));
        }
        self.order.check(row.timestamp, &row.user_id, &row.item_id).map_err(|problem| {
            DatasetError::value(path, TIMESTAMP, number, DatasetRule::Order, problem)
        })?;
        self.waiting.push((row, details));
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
        let of_row = || rows.iter().map(|(row, _)| row);
        let of_details = || rows.iter().map(|(_, details)| details);
        let users = of_row().map(|row| Some(row.user_id.as_str())).collect::<StringArray>();
        let items = of_row().map(|row| Some(row.item_id.as_str())).collect::<StringArray>();
        let times = of_row().map(|row| row.timestamp).collect::<Vec<_>>();
        let labels = of_row().map(|row| i8::from(row.clicked)).collect::<Vec<_>>();
        let requests = of_row().map(|row| row.request_id.as_deref()).collect::<StringArray>();
        let positions = of_row().map(|row| row.position.map(|p| p as i32)).collect::<Int32Array>();
        let actions = of_row().map(|row| row.action.as_deref()).collect::<StringArray>();
        let values = of_row().map(|row| row.value.map(Number::as_f64)).collect::<Float64Array>();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(users),
            Arc::new(items),
            Arc::new(Int64Array::from(times)),
            Arc::new(Int8Array::from(labels)),
            Arc::new(requests),
            Arc::new(positions),
            Arc::new(actions),
            Arc::new(values),
        ];
        for at in 0..self.columns.tasks.len() {
            let label = |details: &InteractionDetails| {
                details.labels.get(at).copied().flatten().map(i8::from)
            };
            columns.push(Arc::new(of_details().map(label).collect::<Int8Array>()));
        }
        if self.columns.shown {
            let surfaces = of_details().map(|details| details.surface.as_deref());
            columns.push(Arc::new(surfaces.collect::<StringArray>()));
            let propensities = of_details().map(|details| details.propensity);
            columns.push(Arc::new(propensities.collect::<Float32Array>()));
        }
        for (name, of) in &self.columns.features {
            columns.push(of.column(of_details().map(|details| details.features.get(name))));
        }
        self.file.write(columns)
    }
}
