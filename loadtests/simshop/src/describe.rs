//! What a simulated folder holds.

use std::{collections::HashMap, fmt, path::Path};

use anyhow::{Context, bail, ensure};
use plugrank_contract::{ItemId, UserId};
use plugrank_dataset::{DatasetFolder, InteractionRow, TruthRow};
use serde::Serialize;

use crate::{progress::bar, thresholds::Thresholds};

/// Earlier impressions below which an item or user counts as cold.
const COLD_BELOW: u64 = 5;
/// Positions that are listed.
const POSITIONS: usize = 20;

/// What a simulated folder holds.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Name in `dataset.json`.
    pub name: String,
    /// Items.
    pub items: u64,
    /// Items with a picture.
    pub images: u64,
    /// Users.
    pub users: u64,
    /// Impressions.
    pub impressions: u64,
    /// Clicks over impressions.
    pub ctr: f64,
    /// Mean true probability.
    pub mean_probability: f64,
    /// AUC of the true probabilities: what no model can beat but by luck. `None` without both
    /// clicks and impressions that were not clicked.
    pub best_auc: Option<f64>,
    /// Log loss of the true probabilities, in nats.
    pub best_log_loss: f64,
    /// Share of impressions of items shown fewer than five times before.
    pub cold_item_share: f64,
    /// The same among the last fifth of the impressions.
    pub cold_item_share_late: f64,
    /// Share of impressions of users who had seen fewer than five before.
    pub cold_user_share: f64,
    /// Click rate by position, from 0; the first twenty.
    pub ctr_by_position: Vec<f64>,
}

#[derive(Default)]
struct Tally {
    thresholds: Thresholds,
    shown: HashMap<ItemId, u64>,
    seen: HashMap<UserId, u64>,
    positions: Vec<(u64, u64)>,
    clicks: u64,
    probability: f64,
    log_loss: f64,
    cold_items: u64,
    cold_items_late: u64,
    late: u64,
    cold_users: u64,
}

/// Reads a simulated folder through and describes it.
///
/// # Errors
/// The folder cannot be read, has no `truth.parquet`, or the two files do not match.
pub fn describe(folder: &Path) -> anyhow::Result<Description> {
    let folder = DatasetFolder::open(folder)?;
    let (mut items, mut images) = (0, 0);
    for batch in folder.items()? {
        let batch = batch?;
        items += batch.len() as u64;
        images += batch.iter().filter(|row| row.image.is_some()).count() as u64;
    }
    let mut users = 0;
    for batch in folder.users()? {
        users += batch?.len() as u64;
    }
    let truth = folder.truth()?.with_context(|| {
        format!("{} has no truth.parquet; only simulated data has", folder.root().display())
    })?;
    let interactions = folder.interactions()?;
    let impressions = interactions.rows();
    ensure!(
        truth.rows() == impressions,
        "truth.parquet has {} rows and interactions.parquet {impressions}; generate both again",
        truth.rows()
    );
    let bar = bar("impressions", impressions);
    let mut tally = Tally::default();
    let mut number = 0;
    for (rows, truths) in interactions.zip(truth) {
        for (row, truth) in rows?.into_iter().zip(truths?) {
            tally.count(&row, &truth, number, impressions)?;
            number += 1;
        }
        bar.set_position(number);
    }
    bar.finish_and_clear();
    let count = impressions.max(1) as f64;
    Ok(Description {
        name: folder.meta().name.clone(),
        items,
        images,
        users,
        impressions,
        ctr: tally.clicks as f64 / count,
        mean_probability: tally.probability / count,
        best_auc: tally.thresholds.auc(),
        best_log_loss: tally.log_loss / count,
        cold_item_share: tally.cold_items as f64 / count,
        cold_item_share_late: tally.cold_items_late as f64 / tally.late.max(1) as f64,
        cold_user_share: tally.cold_users as f64 / count,
        ctr_by_position: tally
            .positions
            .iter()
            .map(|&(shown, clicks)| clicks as f64 / shown.max(1) as f64)
            .collect(),
    })
}

impl Tally {
    fn count(
        &mut self,
        row: &InteractionRow,
        truth: &TruthRow,
        number: u64,
        total: u64,
    ) -> anyhow::Result<()> {
        let keys = (&row.user_id, &row.item_id, row.timestamp);
        if keys != (&truth.user_id, &truth.item_id, truth.timestamp) {
            bail!("truth.parquet, row {number}: is of another impression; generate both again");
        }
        let clicked = row.clicked;
        let probability = f64::from(truth.probability);
        self.thresholds.count(truth.probability, clicked);
        self.clicks += u64::from(clicked);
        self.probability += probability;
        let right = if clicked { probability } else { 1.0 - probability };
        self.log_loss -= right.max(1e-12).ln();

        let shown = self.shown.entry(row.item_id.clone()).or_default();
        let cold = u64::from(*shown < COLD_BELOW);
        *shown += 1;
        self.cold_items += cold;
        if number * 5 >= total * 4 {
            self.late += 1;
            self.cold_items_late += cold;
        }
        let seen = self.seen.entry(row.user_id.clone()).or_default();
        self.cold_users += u64::from(*seen < COLD_BELOW);
        *seen += 1;

        if let Some(position) = row.position.map(|position| position as usize)
            && position < POSITIONS
        {
            if self.positions.len() <= position {
                self.positions.resize(position + 1, (0, 0));
            }
            self.positions[position].0 += 1;
            self.positions[position].1 += u64::from(clicked);
        }
        Ok(())
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, items, images, users, impressions, .. } = self;
        writeln!(f, "{name}")?;
        writeln!(f, "  items              {items} ({images} with a picture)")?;
        writeln!(f, "  users              {users}")?;
        writeln!(f, "  impressions        {impressions}")?;
        writeln!(f, "  click rate         {:.4}", self.ctr)?;
        writeln!(f, "  mean probability   {:.4}", self.mean_probability)?;
        match self.best_auc {
            Some(auc) => writeln!(f, "  best AUC           {auc:.4}")?,
            None => writeln!(f, "  best AUC           none (all labels are alike)")?,
        }
        writeln!(f, "  best log loss      {:.4}", self.best_log_loss)?;
        writeln!(f, "  cold items         {:.4} of impressions", self.cold_item_share)?;
        writeln!(f, "  cold items, late   {:.4} of the last fifth", self.cold_item_share_late)?;
        writeln!(f, "  cold users         {:.4} of impressions", self.cold_user_share)?;
        let rates: Vec<String> =
            self.ctr_by_position.iter().map(|rate| format!("{rate:.3}")).collect();
        write!(f, "  rate by position   {}", rates.join(" "))
    }
}
