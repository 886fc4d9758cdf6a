//! The watched folder: bundles that come into the folder of models are loaded.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{BundleFolder, ModelError, Models};

/// What is known of a folder that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    mark: u64,
    /// Whether it is done with: loaded, or refused. Else it is to be the same at the next look.
    done: bool,
}

impl Models {
    /// Looks into the folder of models in turns and loads what came since; ends only by being dropped. What
    /// was there at the start is loaded by name only.
    pub(crate) async fn watch(self: Arc<Self>, every: Duration) {
        let Some(loader) = self.loader.clone() else { return };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: Option<HashMap<String, Known>> = None;
        let (mut unreadable, mut full) = (false, false);
        loop {
            ticks.tick().await;
            let folders = match loader.folders().await {
                Ok(folders) => folders,
                Err(error) => {
                    if !std::mem::replace(&mut unreadable, true) {
                        tracing::warn!(error, "the folder of models cannot be read");
                    }
                    continue;
                }
            };
            unreadable = false;
            let Some(known) = &mut known else {
                let done = |one: BundleFolder| (one.name, Known { mark: one.mark, done: true });
                known = Some(folders.into_iter().map(done).collect());
                continue;
            };
            known.retain(|name, _| folders.iter().any(|one| one.name == *name));
            for BundleFolder { name, mark } in folders {
                let settled = Known { mark, done: false };
                match known.get(&name) {
                    Some(seen) if *seen == settled => {}
                    Some(seen) if seen.mark == mark => continue,
                    _ => {
                        known.insert(name, settled);
                        continue;
                    }
                }
                match self.load(Some(&name)).await {
                    Err(ModelError::TooMany(loaded)) => {
                        if !std::mem::replace(&mut full, true) {
                            let folder = name;
                            tracing::warn!(
                                folder,
                                loaded,
                                "a bundle waits until a model is removed"
                            );
                        }
                        continue;
                    }
                    Ok((version, _)) => tracing::info!(folder = name, version, "a bundle came"),
                    Err(error) => tracing::warn!(folder = name, %error, "a bundle is not loaded"),
                }
                full = false;
                known.insert(name, Known { mark, done: true });
            }
        }
    }
}
