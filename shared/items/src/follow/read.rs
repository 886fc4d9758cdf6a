//! Reads changes, on and on.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use plugrank_store::{ChangeLog, ChangePosition, StoreError, changes::Next};
use tokio::sync::mpsc::Sender;

use super::{Followed, Pause, Step};

/// Longest wait for a change before the store is asked again.
const WAIT: Duration = Duration::from_secs(5);

/// Reads from `position` on, until the receiver is gone.
pub(super) async fn read(
    followed: Arc<Followed>,
    log: Arc<dyn ChangeLog>,
    mut position: ChangePosition,
    to: Sender<Step>,
) {
    let (mut pause, mut caught_up) = (Pause::new(), false);
    loop {
        let step = match next(&*log, &position).await {
            Ok(step) => step,
            Err(error) => {
                followed.connected.store(false, Ordering::Relaxed);
                pause.after("changes of items cannot be followed", &error).await;
                continue;
            }
        };
        followed.connected.store(true, Ordering::Relaxed);
        pause.over();
        match &step {
            Step::Apply(changes) => position.clone_from(&changes.position),
            Step::Resync(end) => position.clone_from(end),
            Step::CaughtUp => {}
        }
        let nothing = matches!(step, Step::CaughtUp);
        if !(nothing && caught_up) && to.send(step).await.is_err() {
            return;
        }
        caught_up = nothing;
        if nothing && let Err(error) = log.wait(&position, WAIT).await {
            // What is wrong the next read will say, if it still is.
            tracing::debug!(%error, "the wait for changes ended early");
        }
    }
}

async fn next(log: &dyn ChangeLog, position: &ChangePosition) -> Result<Step, StoreError> {
    Ok(match log.after(position).await? {
        Next::Nothing => Step::CaughtUp,
        Next::Changes(changes) => Step::Apply(changes),
        Next::Lost => Step::Resync(log.end().await?),
    })
}
