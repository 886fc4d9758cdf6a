//! Shoppers browse a running server: they see lists, click by their hidden tastes and come back, while an
//! experiment runs; what it concludes is held against the truth.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    agreement::{Agreement, ArmTruth},
    dice::{Draw, dice, unit},
    shop::Shop,
    shop_client::{ShopClient, ShopServer},
};

/// The layer that the experiments are in.
pub(crate) const LAYER: &str = "simshop";

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
    /// How often each shopper comes before the first experiment begins: what they do then is what CUPED reads.
    pub before: usize,
    /// How often each shopper comes in an experiment.
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

/// Popularity against the ID-based model and PPM, a third of the shoppers each. Popularity is a surface of the
/// server's settings, whose one source it is, at the rung that ranks nothing.
#[must_use]
pub fn three_ways() -> Value {
    json!({
        "control": "popularity",
        "arms": [
            {"name": "popularity", "weight": 1, "settings": {"rung": "retrieval_order", "surface": "popular"}},
            {"name": "idrec", "weight": 1, "settings": {"rung": "idrec"}},
            {"name": "ppm", "weight": 1},
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

impl Counted {
    fn add(&mut self, expected: f64, clicks: usize) {
        self.lists += 1;
        self.expected += expected;
        self.clicks += clicks;
    }
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
    let definition = planned(&browsing.definition, shop.shoppers.users.len());
    let names: Vec<String> = arms(&definition)?;
    let matters = definition["plan"]["lift"].as_f64().unwrap_or(0.03);
    let draw = |draw, seed, visits| Draws { draw, seed, visits };
    browse(&shop, &client, browsing, draw(Draw::Before, browsing.seed, browsing.before), None)?;
    let mut outcomes = Vec::new();
    for run in 0..browsing.runs {
        let seed = browsing.seed + run;
        let name = format!("{}-{seed}", browsing.experiment);
        client.begin(&name, &definition)?;
        let every = Every { experiment: &name, arms: &names };
        let every = client.rank(0, 1, Some((&name, &names[0]))).is_ok().then_some(every);
        let draws = draw(Draw::Clicks, seed, browsing.visits);
        let Browsed { counted, everyone } = browse(&shop, &client, browsing, draws, every)?;
        let lists = counted.values().map(|arm| arm.lists).sum();
        let results = client.results(&name, lists)?;
        client.end(&name)?;
        let truth = names.iter().map(|arm| {
            let counted = counted.get(arm).copied().unwrap_or_default();
            ArmTruth {
                arm: arm.clone(),
                lists: counted.lists,
                served: counted.expected / counted.lists.max(1) as f64,
                everyone: everyone.get(arm).map(|worth| worth.expected / worth.lists as f64),
                clicks: counted.clicks,
            }
        });
        let outcome = Agreement::new(&name, truth.collect(), &results, matters);
        told(&outcome);
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// The definition in its layer. Where it plans no number of units, the plan is made for the shoppers there are, as
/// whoever knows how many users will come would make it.
pub(crate) fn planned(definition: &Value, shoppers: usize) -> Value {
    let mut definition = definition.clone();
    definition["layer"] = json!(LAYER);
    if definition["plan"]["units"].is_null() {
        definition["plan"]["units"] = json!(shoppers);
    }
    definition
}

/// Visits, and which clicks are drawn in them.
#[derive(Clone, Copy)]
struct Draws {
    draw: Draw,
    seed: u64,
    visits: usize,
}

/// Names of the arms, the control first.
pub(crate) fn arms(definition: &Value) -> anyhow::Result<Vec<String>> {
    let control = definition["control"].as_str().context("the definition has no `control`")?;
    let all = definition["arms"].as_array().context("the definition has no `arms`")?;
    let others = all.iter().filter_map(|arm| arm["name"].as_str()).filter(|arm| *arm != control);
    let names: Vec<String> = std::iter::once(control).chain(others).map(str::to_owned).collect();
    ensure!(names.len() > 1, "the definition has one arm alone");
    Ok(names)
}

/// Every arm of an experiment, to be asked for every shopper's list beside the one that is shown.
#[derive(Clone, Copy)]
struct Every<'a> {
    experiment: &'a str,
    arms: &'a [String],
}

/// What came of shoppers' visits.
#[derive(Default)]
struct Browsed {
    /// Of the lists that were shown.
    counted: ByArm,
    /// Of the lists that each arm would have shown to everyone who came; nothing where the server lets no request name
    /// its arm.
    everyone: ByArm,
}

/// Every shopper comes so many times; in each round everyone once.
fn browse(
    shop: &Shop,
    client: &ShopClient,
    browsing: &Browsing,
    Draws { draw, seed, visits }: Draws,
    every: Option<Every<'_>>,
) -> anyhow::Result<Browsed> {
    let mut all = Browsed::default();
    for visit in 0..visits {
        let visits = shop.for_everyone(browsing.threads, |user| {
            let served = client.rank(user, browsing.k, None)?;
            let probabilities = shop.probabilities(user, &served.items)?;
            let expected = probabilities.iter().sum::<f64>();
            let arm = served.arms.get(LAYER).cloned();
            // Before anything of this visit is told: all arms know the same of the shopper.
            let mut others = Vec::new();
            if let Some(Every { experiment, arms }) = every {
                for other in arms.iter().filter(|other| Some(*other) != arm.as_ref()) {
                    let list = client.rank(user, browsing.k, Some((experiment, other)))?.items;
                    others.push((other, shop.probabilities(user, &list)?.iter().sum::<f64>()));
                }
            }
            let stream = (visit * shop.shoppers.users.len() + user) as u64;
            let mut rng = dice(seed, draw, stream);
            let clicked: Vec<usize> = (0..probabilities.len())
                .filter(|place| unit(&mut rng) < probabilities[*place])
                .collect();
            client.report(user, &served, &clicked)?;
            Ok((arm, expected, clicked.len(), others))
        })?;
        for (arm, expected, clicks, others) in visits {
            for (other, expected) in others {
                all.everyone.entry(other.clone()).or_default().add(expected, 0);
            }
            let Some(arm) = arm else { continue };
            if every.is_some() {
                all.everyone.entry(arm.clone()).or_default().add(expected, 0);
            }
            all.counted.entry(arm).or_default().add(expected, clicks);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_made_for_the_given_shoppers_unless_one_exists() {
        let ours = planned(&idrec_against_ppm(), 800);
        assert_eq!((&ours["plan"]["units"], &ours["layer"]), (&json!(800), &json!("simshop")));
        let mut definition = idrec_against_ppm();
        definition["plan"] = json!({"units": 5_000});
        assert_eq!(planned(&definition, 800)["plan"]["units"], 5_000);
    }
}
