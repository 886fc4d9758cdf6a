//! Who is told how far an export is.

use async_trait::async_trait;

use crate::ExportError;

/// Is told how far an export is, and may hold it up.
#[async_trait]
pub trait ExportWatch: Send + Sync {
    /// A phase begins: of so many rows, where that is known.
    fn begin(&self, phase: &'static str, rows: Option<u64>);
    /// So many more rows of it are done. The export goes on when this returns, and ends with the error.
    async fn advance(&self, rows: u64) -> Result<(), ExportError>;
    /// The phase is over.
    fn end(&self);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

#[async_trait]
impl ExportWatch for Unwatched {
    fn begin(&self, _: &'static str, _: Option<u64>) {}

    async fn advance(&self, _: u64) -> Result<(), ExportError> {
        Ok(())
    }

    fn end(&self) {}
}
