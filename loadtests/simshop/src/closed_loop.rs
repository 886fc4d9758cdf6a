//! Shoppers browse a running server: they see lists, click by their hidden tastes and come back, while an
//! experiment runs; what it concludes is held against the truth.

use std::{collections::BTreeMap, path::Path, thread};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    agreement::{ArmTruth, Outcome},
    catalog::Catalog,
    click_model::{ClickModel, sigmoid},
    dice::{Draw, dice, unit},
    shop_client::{Served, ShopClient, ShopServer},
    shoppers::Shoppers,
    truth::{Simulator, simulator},
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

struct Shop {
    catalog: Catalog,
    shoppers: Shoppers,
    click_model: ClickModel,
}

/// What one arm served.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    lists: usize,
    expected: f64,
    clicks: usize,
}

type ByArm = BTreeMap<String, Counted>;

impl Shop {
    /// True probabilities of a click, by position, at the end of the log.
    fn probabilities(&self, user: usize, items: &[usize]) -> anyhow::Result<Vec<f64>> {
        let shopper = &self.shoppers.users[user];
        let of = |(position, item): (usize, &usize)| {
            let traits = self
                .catalog
                .items
                .get(*item)
                .with_context(|| format!("item i{} is none of the simulated shop", item + 1))?;
            Ok(sigmoid(self.click_model.logit(&self.catalog, shopper, traits, 1.0, position)))
        };
        items.iter().enumerate().map(of).collect()
    }
}

/// Runs experiments on the shop that `generate` made in `folder`, loaded into the server at `browsing.url`; tells
/// each outcome as it comes.
///
/// # Errors
/// When the folder is no simulated shop, or the server refuses.
pub fn closed_loop(
    folder: &Path,
    browsing: &Browsing,
    mut told: impl FnMut(&Outcome),
) -> anyhow::Result<Vec<Outcome>> {
    let Simulator { plan, click_model } = simulator(folder)?;
    let mut shoppers = Shoppers::draw(&plan);
    shoppers.users.truncate(browsing.shoppers);
    let shop = Shop { catalog: Catalog::draw(&plan), shoppers, click_model };
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
        let outcome = Outcome::new(&name, truth.collect(), &results, matters);
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
        let visits = in_threads(shop, browsing, |user| {
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
        let lists = in_threads(shop, browsing, |user| {
            let served = client.rank(user, browsing.k, Some((experiment, arm)))?;
            Ok(shop.probabilities(user, &served.items)?.iter().sum::<f64>())
        })?;
        worth.insert(arm.clone(), lists.iter().sum::<f64>() / lists.len().max(1) as f64);
    }
    Ok(worth)
}

/// Does something for every shopper, some at a time.
fn in_threads<T: Send>(
    shop: &Shop,
    browsing: &Browsing,
    work: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let (users, threads) = (shop.shoppers.users.len(), browsing.threads.max(1));
    thread::scope(|scope| {
        let work = &work;
        let part = |first: usize| {
            scope.spawn(move || {
                (first..users).step_by(threads).map(work).collect::<Result<Vec<T>, _>>()
            })
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        let mut all = Vec::with_capacity(users);
        for part in parts {
            let done = part.join().map_err(|_| anyhow::anyhow!("a shopper's thread panicked"))?;
            all.extend(done?);
        }
        Ok(all)
    })
}
