//! A day of a shop that goes on: new items arrive, shoppers come and see what their arm of an experiment shows them,
//! and what each arm is truly worth is printed beside what the experiment has found so far, on all items and on
//! those that came since the shop began to be watched.

use std::path::Path;

use anyhow::ensure;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    agreement::Found,
    closed_loop::{arms, planned},
    dice::{Draw, dice, unit},
    generate::{item_picture, item_row},
    shop::Shop,
    shop_client::{ShopClient, ShopServer, item_id},
};

/// A day.
#[derive(Clone, Debug)]
pub struct Round {
    /// Which server, and by which key.
    pub server: ShopServer,
    /// Which day, from 1.
    pub number: usize,
    /// Items that arrive on each day.
    pub arrivals: usize,
    /// Name of the experiment, which begins on the first day.
    pub experiment: String,
    /// Its definition, without name and layer.
    pub definition: Value,
    /// Seed of the clicks.
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

/// What an arm is truly worth on a day.
#[derive(Clone, Debug, Serialize)]
pub struct RoundArm {
    /// Name.
    pub arm: String,
    /// Clicks that its list truly gets, on average over all shoppers.
    pub all: f64,
    /// Those of them on items that have arrived since the first day.
    pub of_fresh: f64,
    /// Clicks that its list of these items alone truly gets.
    pub fresh: f64,
}

/// What came of a day.
#[derive(Clone, Debug, Serialize)]
pub struct RoundReport {
    /// Which day.
    pub number: usize,
    /// Items that have arrived since the first day.
    pub arrived: usize,
    /// Lists that were served.
    pub lists: usize,
    /// Clicks that were drawn.
    pub clicks: usize,
    /// The truth of each arm when the day is over, the control first.
    pub arms: Vec<RoundArm>,
    /// Clicks of the best list of the new items there is, and of one in any order.
    pub fresh_best: f64,
    /// As said.
    pub fresh_any: f64,
    /// What the experiment has found so far of each arm but the control.
    pub found: Vec<Found>,
}

/// Lets a day pass on the shop that `generate` made in `folder`, loaded into the server at `round.server`, which lets
/// requests name their arms.
///
/// # Errors
/// When the folder is no simulated shop, or the server refuses.
pub fn round(folder: &Path, round: &Round) -> anyhow::Result<RoundReport> {
    ensure!(round.number > 0 && round.arrivals > 0, "days and arrivals count from 1");
    let shop = Shop::open_with(folder, round.shoppers, round.number * round.arrivals)?;
    let client = ShopClient::new(&round.server);
    let first = shop.plan.items as usize;
    let fresh: Vec<usize> = (first..shop.catalog.items.len()).collect();
    for index in &fresh[(round.number - 1) * round.arrivals..] {
        client.put_item(*index, &arriving(&shop, *index)?)?;
    }
    let definition = planned(&round.definition, shop.shoppers.users.len());
    let names = arms(&definition)?;
    if round.number == 1 {
        client.begin(&round.experiment, &definition)?;
    }
    let clicks = browse(&shop, &client, round)?;
    let arms = names.into_iter().map(|arm| worth(&shop, &client, round, arm, &fresh));
    let arms = arms.collect::<anyhow::Result<Vec<_>>>()?;
    let [fresh_best, fresh_any] = bounds(&shop, round.k, &fresh)?;
    let lists = shop.shoppers.users.len() * round.visits;
    let results = client.results(&round.experiment, lists * round.number)?;
    Ok(RoundReport {
        number: round.number,
        arrived: fresh.len(),
        lists,
        clicks,
        arms,
        fresh_best,
        fresh_any,
        found: Found::read(&results),
    })
}

/// An item's content, as `PUT /v1/items/ID` takes it. It enters the catalog when it is written.
fn arriving(shop: &Shop, index: usize) -> anyhow::Result<Value> {
    let traits = &shop.catalog.items[index];
    let row = item_row(&shop.plan, traits, index);
    let picture = || item_picture(&shop.plan, traits, index).map(|bytes| STANDARD.encode(bytes));
    Ok(json!({
        "title": row.item.title,
        "text": row.item.text,
        "categories": row.item.categories,
        "features": row.item.features,
        "image": row.image.as_ref().map(|_| picture()).transpose()?,
    }))
}

/// Every shopper comes so many times; clicks that were drawn.
fn browse(shop: &Shop, client: &ShopClient, round: &Round) -> anyhow::Result<usize> {
    let mut clicks = 0;
    for visit in 0..round.visits {
        let visits = shop.for_everyone(round.threads, |user| {
            let served = client.rank(user, round.k, None)?;
            let probabilities = shop.probabilities(user, &served.items)?;
            let of_day = round.number * round.visits + visit;
            let stream = (of_day * shop.shoppers.users.len() + user) as u64;
            let mut rng = dice(round.seed, Draw::Round, stream);
            let clicked: Vec<usize> = (0..probabilities.len())
                .filter(|place| unit(&mut rng) < probabilities[*place])
                .collect();
            client.report(user, &served, &clicked)?;
            Ok(clicked.len())
        })?;
        clicks += visits.into_iter().sum::<usize>();
    }
    Ok(clicks)
}

fn worth(
    shop: &Shop,
    client: &ShopClient,
    round: &Round,
    arm: String,
    fresh: &[usize],
) -> anyhow::Result<RoundArm> {
    let ids: Vec<String> = fresh.iter().map(|index| item_id(*index)).collect();
    let named = Some((round.experiment.as_str(), arm.as_str()));
    let lists = shop.for_everyone(round.threads, |user| {
        let all = client.rank(user, round.k, named)?.items;
        let expected = shop.probabilities(user, &all)?;
        let of_fresh = all.iter().zip(&expected).filter(|(item, _)| **item >= fresh[0]);
        let of_fresh = of_fresh.map(|(_, probability)| probability).sum();
        let alone = client.rank_among(user, round.k, named, Some(&ids))?.items;
        let alone = shop.probabilities(user, &alone)?.iter().sum::<f64>();
        Ok([expected.iter().sum::<f64>(), of_fresh, alone])
    })?;
    let mean = |at: usize| lists.iter().map(|list| list[at]).sum::<f64>() / lists.len() as f64;
    Ok(RoundArm { all: mean(0), of_fresh: mean(1), fresh: mean(2), arm })
}

/// Clicks of a list of these items: in the best order, and on average over all orders.
fn bounds(shop: &Shop, k: usize, items: &[usize]) -> anyhow::Result<[f64; 2]> {
    let users = shop.shoppers.users.len();
    let mut sums = [0.0; 2];
    for user in 0..users {
        let first =
            |item: &usize| Ok::<_, anyhow::Error>((shop.probabilities(user, &[*item])?[0], *item));
        let mut order = items.iter().map(first).collect::<anyhow::Result<Vec<_>>>()?;
        order.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let places = k.min(order.len());
        let best: Vec<usize> = order[..places].iter().map(|(_, item)| *item).collect();
        sums[0] += shop.probabilities(user, &best)?.iter().sum::<f64>();
        // Every item stands at every place alike.
        for turned in 0..items.len() {
            let list: Vec<usize> =
                (0..places).map(|at| items[(turned + at) % items.len()]).collect();
            let clicks = shop.probabilities(user, &list)?.iter().sum::<f64>();
            sums[1] += clicks / items.len() as f64;
        }
    }
    Ok(sums.map(|sum| sum / users as f64))
}
