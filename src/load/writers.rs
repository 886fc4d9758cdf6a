//! Writes under way, while the next rows are read.

use std::future::Future;

use plugrank_store::StoreError;
use tokio::task::JoinSet;

use super::LoadError;

/// Writes at a time. One server answers one after the other, but while it works on one, the next is
/// encoded, sent and waiting; the servers of a cluster each want theirs.
const AT_A_TIME: usize = 8;

/// Writes that have begun. Their order among each other is left open, so they must not touch the
/// same rows; a data set names no item and no user twice.
#[derive(Default)]
pub(super) struct Writers {
    under_way: JoinSet<Result<(), StoreError>>,
}

impl Writers {
    /// Begins a write once there is room.
    ///
    /// # Errors
    /// When an earlier one failed.
    pub(super) async fn begin(
        &mut self,
        write: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> Result<(), LoadError> {
        while self.under_way.len() >= AT_A_TIME {
            self.end_one().await?;
        }
        self.under_way.spawn(write);
        Ok(())
    }

    /// Waits for all that were begun.
    ///
    /// # Errors
    /// When one failed.
    pub(super) async fn end(mut self) -> Result<(), LoadError> {
        while !self.under_way.is_empty() {
            self.end_one().await?;
        }
        Ok(())
    }

    async fn end_one(&mut self) -> Result<(), LoadError> {
        match self.under_way.join_next().await {
            Some(Ok(done)) => done.map_err(LoadError::from),
            // A write that panicked: a defect, but not one to go on after.
            Some(Err(error)) => Err(LoadError::Interrupted(error.to_string())),
            None => Ok(()),
        }
    }
}
