//! Shoppers browse a running server: they see lists, click by their hidden tastes and come back, while an
//! experiment runs; what it concludes is held against the truth.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    agreement::{Agreement, ArmTruth},
    dice::{Draw, dice, unit},
    shop::Shop,
    shop_client::{Served, ShopClient, ShopServer},
};

/// The layer that the experiments are in.
const LAYER: &str = "simshop";

/// How shoppers browse.
#[derive(Clone, Debug)]
pub struct Browsing {
    /// Which server, and by which key.
    pub server: ShopServer,
    /// Name of the experiment; its number is added.
    pub experiment: String,
    /// Its definition, without name and layer.
    pub definition: Value,
    /// Experiments, one after another, each with clicks of its own.
    pub runs: u64,
    /// Seed of the first one's clicks.
    pub seed: u64,
    /// Shoppers, at most: the first ones.
    pub shoppers: usize,
    /// How often each shopper comes.
    pub visits: usize,
    /// Items of a list.
    pub k: usize,
    /// Shoppers at a time.
    pub threads: usize,
}

/// PPM against the ID-based model, half of the shoppers each.
#[must_use]
pub fn idrec_against_ppm() -> Value {
    json!({
        "control": "idrec",
        "arms": [
            {"name": "idrec", "permille": 500, "settings": {"rung": "idrec"}},
            {"name": "ppm", "permille": 500},
        ],
    })
}

/// What one arm served.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    lists: usize,
    expected: f64,
    clicks: usize,
}

type ByArm = BTreeMap<String, Counted>;

/// Runs experiments on the shop that `generate` made in `folder`, loaded into the server at `browsing.url`; tells
/// each outcome as it comes.
///
/// # Errors
/// When the folder is no simulated shop, or the server refuses.
pub fn closed_loop(
    folder: &Path,
    browsing: &Browsing,
    mut told: impl FnMut(&Agreement),
) -> anyhow::Result<Vec<Agreement>> {
    let shop = Shop::open(folder, browsing.shoppers)?;
    let client = ShopClient::new(&browsing.server);
    let mut definition = browsing.definition.clone();
    definition["layer"] = json!(LAYER);
    let names: Vec<String> = arms(&definition)?;
    let matters = definition["plan"]["lift"].as_f64().unwrap_or(0.03);
    let (mut outcomes, mut everyone) = (Vec::new(), None);
    for run in 0..browsing.runs {
        let name = format!("{}-{}", browsing.experiment, browsing.seed + run);
        client.begin(&name, &definition)?;
        let counted = browse(&shop, &client, browsing, browsing.seed + run)?;
        if everyone.is_none() {
            everyone = Some(worth_to_everyone(&shop, &client, browsing, &name, &names)?);
        }
        let lists = counted.values().map(|arm| arm.lists).sum();
        let results = client.results(&name, lists)?;
        client.end(&name)?;
        let truth = names.iter().map(|arm| {
            let counted = counted.get(arm).copied().unwrap_or_default();
            ArmTruth {
                arm: arm.clone(),
                lists: counted.lists,
                served: counted.expected / counted.lists.max(1) as f64,
                everyone: everyone.as_ref().and_then(|all| all.get(arm).copied()),
                clicks: counted.clicks,
            }
        });
        let outcome = Agreement::new(&name, truth.collect(), &results, matters);
        told(&outcome);
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Names of the arms, the control first.
fn arms(definition: &Value) -> anyhow::Result<Vec<String>> {
    let control = definition["control"].as_str().context("the definition has no `control`")?;
    let all = definition["arms"].as_array().context("the definition has no `arms`")?;
    let others = all.iter().filter_map(|arm| arm["name"].as_str()).filter(|arm| *arm != control);
    let names: Vec<String> = std::iter::once(control).chain(others).map(str::to_owned).collect();
    ensure!(names.len() > 1, "the definition has one arm alone");
    Ok(names)
}

/// Every shopper comes so many times; in each round everyone once.
fn browse(
    shop: &Shop,
    client: &ShopClient,
    browsing: &Browsing,
    seed: u64,
) -> anyhow::Result<ByArm> {
    let mut all = ByArm::new();
    for visit in 0..browsing.visits {
        let visits = shop.for_everyone(browsing.threads, |user| {
            let served = client.rank(user, browsing.k, None)?;
            let probabilities = shop.probabilities(user, &served.items)?;
            let stream = (visit * shop.shoppers.users.len() + user) as u64;
            let mut rng = dice(seed, Draw::Clicks, stream);
            let clicked: Vec<usize> = (0..probabilities.len())
                .filter(|place| unit(&mut rng) < probabilities[*place])
                .collect();
            client.report(user, &served, &clicked)?;
            let Served { arms, .. } = served;
            Ok((arms.get(LAYER).cloned(), probabilities.iter().sum::<f64>(), clicked.len()))
        })?;
        for (arm, expected, clicks) in visits {
            let Some(arm) = arm else { continue };
            let counted = all.entry(arm).or_default();
            counted.lists += 1;
            counted.expected += expected;
            counted.clicks += clicks;
        }
    }
    Ok(all)
}

/// Mean true clicks of a list of each arm over all shoppers; nothing where the server lets no request name its
/// arm.
fn worth_to_everyone(
    shop: &Shop,
    client: &ShopClient,
    browsing: &Browsing,
    experiment: &str,
    names: &[String],
) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut worth = BTreeMap::new();
    for arm in names {
        if client.rank(0, 1, Some((experiment, arm))).is_err() {
            return Ok(BTreeMap::new());
        }
        let lists = shop.for_everyone(browsing.threads, |user| {
            let served = client.rank(user, browsing.k, Some((experiment, arm)))?;
            Ok(shop.probabilities(user, &served.items)?.iter().sum::<f64>())
        })?;
        worth.insert(arm.clone(), lists.iter().sum::<f64>() / lists.len().max(1) as f64);
    }
    Ok(worth)
}
