//! One table, opened and its columns checked.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ProjectionMask;

use super::{
    Batches, Opened,
    batches::{Further, Row},
    cells::Cells,
    kind::{ColumnKind, Want},
    parts::{self, Part},
    values::{self, Values},
};
use crate::DatasetError;

/// Rows of a batch: enough to amortise the work per batch, few enough to stay in cache.
const BATCH_ROWS: usize = 8192;

/// One table, opened: a file or a folder of parts.
pub(crate) struct Table {
    path: PathBuf,
    parts: Vec<Part>,
}

/// A batch and where in the table it lies.
pub(crate) struct Slice<'a> {
    path: &'a Path,
    batch: &'a RecordBatch,
    first_row: u64,
}

impl Table {
    /// Opens it and checks every part's columns; all that is wrong otherwise.
    pub(crate) fn open(path: &Path, wants: &[Want]) -> Result<Self, Vec<DatasetError>> {
        let parts = parts::open(path).map_err(|error| vec![error])?;
        let problems: Vec<DatasetError> =
            parts.iter().flat_map(|part| columns(part, wants)).collect();
        if problems.is_empty() { Ok(Self { path: path.to_owned(), parts }) } else { Err(problems) }
    }

    /// The columns of the first part.
    fn schema(&self) -> Option<&SchemaRef> {
        self.parts.first().map(|part| part.builder.schema())
    }

    /// Columns beside the known ones: those that can be features, and the rest.
    pub(crate) fn further(&self, known: &[Want]) -> Further {
        let fields = self.schema().into_iter().flat_map(|schema| schema.fields());
        let further = fields
            .filter(|field| known.iter().all(|want| want.column != field.name()))
            .map(|field| (field.name().clone(), is_feature(field.name(), field.data_type())));
        let (features, rest): (Vec<_>, Vec<_>) = further.partition(|(_, is_feature)| *is_feature);
        let names = |columns: Vec<(String, bool)>| columns.into_iter().map(|(name, _)| name);
        Further { features: names(features).collect(), ignored: names(rest).collect() }
    }

    /// Whether there is a column of a type that `is` tells.
    pub(crate) fn has(&self, column: &str, is: fn(&DataType) -> bool) -> bool {
        let found = self.schema().and_then(|schema| schema.field_with_name(column).ok());
        found.is_some_and(|field| is(field.data_type()))
    }

    /// Reads the named columns; `decode` makes rows of a batch.
    pub(crate) fn batches<T>(
        self,
        columns: &[&str],
        further: Further,
        mut decode: impl FnMut(&Slice<'_>) -> Result<Vec<Row<T>>, DatasetError> + Send + 'static,
    ) -> Opened<T> {
        let Self { path, parts } = self;
        let mut readers = Vec::with_capacity(parts.len());
        let mut rows = 0;
        for Part { path, builder } in parts {
            let schema = builder.schema();
            let roots: Vec<usize> =
                columns.iter().filter_map(|column| schema.index_of(column).ok()).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            rows += u64::try_from(builder.metadata().file_metadata().num_rows())
                .map_err(|_| vec![DatasetError::damaged(&path, &"its row count is negative")])?;
            let reader = builder
                .with_projection(mask)
                .with_batch_size(BATCH_ROWS)
                .build()
                .map_err(|error| vec![DatasetError::damaged(&path, &error)])?;
            readers.push((path, reader));
        }
        let file = path.clone();
        let decode = move |batch: &RecordBatch, first_row: u64| {
            decode(&Slice { path: &file, batch, first_row })
        };
        Ok(Batches::new(path, readers, rows, further, Box::new(decode)))
    }
}

/// Whether a further column is a feature: it holds feature values, and is no index of a pandas frame.
fn is_feature(name: &str, found: &DataType) -> bool {
    values::is_value(found) && !name.starts_with("__index_level_")
}

/// All that is wrong with the columns of a part.
fn columns(part: &Part, wants: &[Want]) -> Vec<DatasetError> {
    let fields = part.builder.schema().fields();
    let path = || part.path.clone();
    let mut seen = HashSet::new();
    let repeated = fields
        .iter()
        .filter(|field| !seen.insert(field.name()))
        .map(|field| DatasetError::DuplicateColumn { path: path(), column: field.name().clone() });
    let mut problems: Vec<DatasetError> = repeated.collect();
    for Want { column, kind, required } in wants {
        match fields.find(column) {
            None if *required => problems.push(DatasetError::MissingColumn {
                path: path(),
                column: (*column).to_owned(),
                wanted: kind.wanted(),
            }),
            Some((_, field)) if !kind.accepts(field.data_type()) => {
                problems.push(DatasetError::ColumnType {
                    path: path(),
                    column: (*column).to_owned(),
                    found: describe(field.data_type()),
                    wanted: kind.wanted(),
                });
            }
            _ => {}
        }
    }
    problems
}

impl<'a> Slice<'a> {
    /// Rows in the batch.
    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column that must be there.
    pub(crate) fn cells(&self, column: &str, kind: ColumnKind) -> Result<Cells<'a>, DatasetError> {
        match self.optional(column, kind)? {
            Some(cells) => Ok(cells),
            None => Err(DatasetError::MissingColumn {
                path: self.path.to_owned(),
                column: column.to_owned(),
                wanted: kind.wanted(),
            }),
        }
    }

    /// A column that may not be there.
    pub(crate) fn optional(
        &self,
        column: &str,
        kind: ColumnKind,
    ) -> Result<Option<Cells<'a>>, DatasetError> {
        self.batch
            .column_by_name(column)
            .map(|array| Cells::new(self.path, column, self.first_row, array, kind))
            .transpose()
    }

    /// The feature columns among `names`. A part of a table may lack one.
    pub(crate) fn features<'n>(
        &'n self,
        names: &'n [String],
    ) -> Result<Vec<(&'n str, Values<'n>)>, DatasetError> {
        let found = names.iter().filter_map(|name| {
            let array = self.batch.column_by_name(name)?;
            let values = Values::new(self.path, name, self.first_row, array);
            Some(values.map(|values| (name.as_str(), values)))
        });
        found.collect()
    }
}

fn describe(found: &DataType) -> String {
    found.to_string()
}
