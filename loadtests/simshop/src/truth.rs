//! What shoppers truly like at a moment: the log-odds of a click on every item.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, ensure};
use plugrank_contract::ItemId;
use plugrank_dataset::{DatasetFolder, DatasetMeta};
use serde::{Deserialize, Serialize};

use crate::{
    catalog::{Catalog, FACTORS},
    click_model::ClickModel,
    plan::ShopPlan,
    shoppers::{Shopper, Shoppers},
    words::{departments::DEPARTMENTS, styles::STYLES},
};

/// Departments that stand in the name of a taste.
const NAMED_DEPARTMENTS: usize = 2;

/// True log-odds of a simulated shop at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct ShopTruth {
    /// The moment, in milliseconds.
    pub at: i64,
    /// What each step of `ln(1 + position)` takes from the log-odds.
    pub position: f64,
    /// Ids of the items that are there at the moment.
    pub items: Vec<String>,
    /// Clicks on each of them before the moment.
    pub clicks: Vec<u64>,
    /// Some shoppers.
    pub shoppers: Vec<ShopperTruth>,
}

/// What one shopper truly likes.
#[derive(Clone, Debug, Serialize)]
pub struct ShopperTruth {
    /// Id in the data set.
    pub user_id: String,
    /// The style they like best.
    pub style: String,
    /// The style they like least.
    pub not_style: String,
    /// The departments they like best, best first.
    pub departments: Vec<String>,
    /// `low`, `middle` or `high`: the price level they prefer.
    pub budget: String,
    /// Log-odds of a click on each item, were it first in a list.
    pub logits: Vec<f64>,
}

/// What `generate` wrote of itself.
#[derive(Deserialize)]
pub(crate) struct Simulator {
    pub(crate) plan: ShopPlan,
    pub(crate) click_model: ClickModel,
}

/// The truth about at most `shoppers` of the shoppers that have come by the moment `at` (milliseconds; the end of the
/// log when `None`).
///
/// # Errors
/// The folder is none that `generate` made, or the moment is not in its log.
pub fn truth(folder: &Path, shoppers: usize, at: Option<i64>) -> anyhow::Result<ShopTruth> {
    let Simulator { plan, click_model } = simulator(folder)?;
    let end = plan.start_ms + plan.days_ms();
    let at = at.unwrap_or(end);
    ensure!(
        (plan.start_ms..=end).contains(&at),
        "--at {at} is not in the log, which covers {}..={end}",
        plan.start_ms
    );
    let progress = (at - plan.start_ms) as f64 / plan.days_ms() as f64;
    let catalog = Catalog::draw(&plan);
    let all = Shoppers::draw(&plan);
    let there = catalog.items.partition_point(|item| item.created_at <= at);
    let items: Vec<String> = (1..=there).map(|number| format!("i{number}")).collect();
    let counted = clicks_before(folder, at)?;
    let clicks = items
        .iter()
        .map(|id| counted.get(&ItemId::from(id.as_str())).copied().unwrap_or_default())
        .collect();
    let come = all.users.partition_point(|user| user.joined_at <= at);
    let count = shoppers.min(come);
    let shoppers = (0..count)
        .map(|number| {
            let index = number * come / count;
            let user = &all.users[index];
            let logits = catalog.items[..there]
                .iter()
                .map(|item| click_model.logit(&catalog, user, item, progress, 0))
                .collect();
            described(&catalog, user, index, user.taste_at(progress, click_model.drift), logits)
        })
        .collect();
    Ok(ShopTruth { at, position: click_model.position, items, clicks, shoppers })
}

/// What `generate` wrote of itself.
pub(crate) fn simulator(folder: &Path) -> anyhow::Result<Simulator> {
    let mut meta = DatasetMeta::read(folder)?;
    let made = meta.more.remove("simulator").with_context(|| {
        format!("{}: dataset.json has no `simulator`; only simulated data has", folder.display())
    })?;
    serde_json::from_value(made)
        .with_context(|| format!("{}: dataset.json, `simulator`", folder.display()))
}

fn clicks_before(folder: &Path, at: i64) -> anyhow::Result<HashMap<ItemId, u64>> {
    let mut clicks = HashMap::new();
    for rows in DatasetFolder::open(folder)?.interactions()? {
        for row in rows?.into_iter().filter(|row| row.clicked && row.timestamp < at) {
            *clicks.entry(row.item_id).or_default() += 1;
        }
    }
    Ok(clicks)
}

fn described(
    catalog: &Catalog,
    user: &Shopper,
    index: usize,
    taste: [f32; FACTORS],
    logits: Vec<f64>,
) -> ShopperTruth {
    let liking = |style: &[f32; FACTORS]| style.iter().zip(taste).map(|(z, t)| z * t).sum();
    let by_liking = falling(catalog.styles().iter().map(liking));
    let name = |place: Option<&usize>| {
        place.map_or_else(String::new, |&style| STYLES[style].adjectives[0].to_owned())
    };
    let departments = falling(user.departments)
        .into_iter()
        .take(NAMED_DEPARTMENTS)
        .map(|place| DEPARTMENTS[place].name.to_owned())
        .collect();
    let budget = match user.budget {
        level if level < -0.43 => "low",
        level if level < 0.43 => "middle",
        _ => "high",
    };
    ShopperTruth {
        user_id: format!("u{}", index + 1),
        style: name(by_liking.first()),
        not_style: name(by_liking.last()),
        departments,
        budget: budget.to_owned(),
        logits,
    }
}

/// Places of numbers, the greatest first.
fn falling(numbers: impl IntoIterator<Item = f32>) -> Vec<usize> {
    let mut placed: Vec<(usize, f32)> = numbers.into_iter().enumerate().collect();
    placed.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    placed.into_iter().map(|(place, _)| place).collect()
}
