//! A day in the life of a running shop: shoppers do all that shoppers do, prices change, and items are
//! withdrawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Instant,
};

use anyhow::ensure;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    dice::{Draw, below, dice, unit},
    shop::Shop,
    shop_client::{Served, ShopClient, user_id},
};

/// Probability that a shopper comes in an hour.
const COMES: f64 = 0.4;
/// Of clicked items: put into the cart; of these, bought; of clicked ones, kept as a favourite.
const CART: f64 = 0.3;
const BUYS: f64 = 0.5;
const FAVOURITE: f64 = 0.1;
/// Of items that are not clicked: hidden.
const HIDES: f64 = 0.01;

/// A day.
#[derive(Clone, Debug)]
pub struct Day {
    /// Address of the server.
    pub url: String,
    /// Seed of all that is drawn.
    pub seed: u64,
    /// Shoppers, at most: the first ones.
    pub shoppers: usize,
    /// Rounds in which shoppers come.
    pub hours: usize,
    /// Items of a list.
    pub k: usize,
    /// Shoppers at a time.
    pub threads: usize,
    /// Prices that change in an hour.
    pub prices: usize,
    /// Items that are withdrawn in an hour.
    pub withdrawn: usize,
}

/// What came of a day.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DayReport {
    /// Lists that were served.
    pub lists: u64,
    /// Events by type.
    pub events: BTreeMap<String, u64>,
    /// Prices that were changed.
    pub prices: u64,
    /// Items that were withdrawn.
    pub withdrawn: u64,
    /// Median and longest time of a change of an item, in milliseconds.
    pub change_ms: [f64; 2],
}

/// Lets a day pass on the shop that `generate` made in `folder`, loaded into the server at `day.url`.
///
/// # Errors
/// When the folder is no simulated shop, the server refuses, or a list shows what was withdrawn before.
pub fn day(folder: &Path, day: &Day) -> anyhow::Result<DayReport> {
    let shop = Shop::open(folder, day.shoppers)?;
    let client = ShopClient::new(&day.url);
    let (mut report, mut withdrawn, mut took) = (DayReport::default(), BTreeSet::new(), Vec::new());
    for hour in 0..day.hours {
        let mut rng = dice(day.seed, Draw::Day, hour as u64);
        for _ in 0..day.prices {
            let price = (unit(&mut rng) * 10_000.0).round() / 100.0;
            let item = below(&mut rng, shop.catalog.items.len());
            took.push(change(&client, item, &json!({"features": {"price": price}}))?);
            report.prices += 1;
        }
        for _ in 0..day.withdrawn {
            let item = below(&mut rng, shop.catalog.items.len());
            took.push(change(&client, item, &json!({"available": false}))?);
            withdrawn.insert(item);
        }
        let visits = shop.for_everyone(day.threads, |user| {
            let stream = ((hour + 1) * shop.shoppers.users.len() + user) as u64;
            visit(&shop, &client, day, user, &withdrawn, &mut dice(day.seed, Draw::Visit, stream))
        })?;
        for events in visits.into_iter().flatten() {
            report.lists += 1;
            for event in events {
                *report.events.entry(event.to_owned()).or_default() += 1;
            }
        }
    }
    report.withdrawn = withdrawn.len() as u64;
    took.sort_by(f64::total_cmp);
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    report.change_ms = [median, took.last().copied().unwrap_or_default()];
    Ok(report)
}

/// Changes an item; how long it took, in milliseconds.
fn change(client: &ShopClient, item: usize, body: &Value) -> anyhow::Result<f64> {
    let begun = Instant::now();
    client.change_item(item, body)?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// A shopper comes, or not: the types of what they did.
fn visit(
    shop: &Shop,
    client: &ShopClient,
    day: &Day,
    user: usize,
    withdrawn: &BTreeSet<usize>,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<Option<Vec<&'static str>>> {
    if unit(rng) >= COMES {
        return Ok(None);
    }
    let served = client.rank(user, day.k, None)?;
    let gone = served.items.iter().find(|item| withdrawn.contains(item));
    ensure!(gone.is_none(), "a list shows item {gone:?}, which was withdrawn before");
    let probabilities = shop.probabilities(user, &served.items)?;
    let mut events = Events { user, served: &served, told: Vec::new(), types: Vec::new() };
    for (place, probability) in probabilities.into_iter().enumerate() {
        events.add("impression", place);
        if unit(rng) >= probability {
            if unit(rng) < HIDES {
                events.add("hide", place);
            }
            continue;
        }
        events.add("click", place);
        if unit(rng) < FAVOURITE {
            events.add("favourite", place);
        }
        if unit(rng) < CART {
            events.add("cart", place);
            if unit(rng) < BUYS {
                events.add("purchase", place);
            }
        }
    }
    client.events(&events.told)?;
    Ok(Some(events.types))
}

/// What one shopper did with one list.
struct Events<'a> {
    user: usize,
    served: &'a Served,
    told: Vec<Value>,
    types: Vec<&'static str>,
}

impl Events<'_> {
    fn add(&mut self, kind: &'static str, place: usize) {
        let Served { request_id, items, .. } = self.served;
        // The place is told with the first event alone: the others are found by the list that was served.
        let position = (kind == "impression").then_some(place + 1);
        self.told.push(json!({
            "event_id": format!("{request_id}-{kind}-{place}"),
            "type": kind,
            "user_id": user_id(self.user),
            "item_id": format!("i{}", items[place] + 1),
            "request_id": request_id,
            "position": position,
        }));
        self.types.push(kind);
    }
}
