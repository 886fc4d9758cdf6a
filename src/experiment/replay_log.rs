//! `plugrank replay --model`: what a model would have been worth, from lists that were logged in full.
//!
//! A decision is a place of a list at which something was drawn. The log has the probability of what was shown there;
//! what the other model would have shown follows from its values of the same candidates, the rules of the settings, and
//! the places above as they were shown. Its values come from a running server that has it loaded.

#[cfg(test)]
#[path = "replay_log_tests.rs"]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::{Array, cast::AsArray};
use plugrank_contract::{ItemId, reranking::Rerank};
use plugrank_experiments::counterfactual::{LoggedDecision, Replay, ReplayResults};
use plugrank_reranking::RerankingService;
use plugrank_value::ValueFormula;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    args::ReplayArgs,
    exposures::{Exposures, numbers, texts},
    replay::replay_report,
    served::{Served, each, rules_of},
};
use crate::{Settings, server_client::ServerClient};

/// How near to 1 a propensity is where nothing was drawn.
const CERTAIN: f64 = 1.0 - 1e-6;
/// Times that a request is asked again which the server answered on another rung than was asked for.
const TRIES: usize = 3;

/// What the log says of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayedLog {
    /// Lists that were logged in full and replayed.
    pub lists: u64,
    /// Lists that were left out, by cause.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Places at which nothing was drawn, of which the log says nothing.
    pub certain: u64,
    /// Places at which something was drawn: the decisions; and what they say.
    #[serde(flatten)]
    pub results: ReplayResults,
}

/// What a model makes of a list's candidates, in their order.
pub(super) struct Valued {
    /// What each is worth, by the order of which the list is made.
    pub(super) worth: Vec<f32>,
    /// Probability that it is acted on.
    pub(super) ctr: Vec<f32>,
}

/// A place of a list.
struct Place {
    user_id: String,
    position: usize,
    reward: f64,
    propensity: f64,
    target: f64,
    expected: f64,
    expected_target: f64,
}

/// Estimates what `--model` would have been worth on the lists of an export.
///
/// # Errors
/// An export that cannot be read, a server that has no such model, and a log that says too little of it.
pub fn replay_log(args: &ReplayArgs, settings: &Settings) -> Result<ReplayedLog> {
    let server = ServerClient::new(&args.server)?;
    let acted = acted(&args.file.join("interactions.parquet"), args.task.as_deref())?;
    let ask = |served: &Served, call: &Rerank| ask(args, settings, &server, served, call);
    let exposures = args.file.join("exposures.parquet");
    from_lists(&exposures, &rules_of(settings)?, &acted, args.alpha, ask)
}

/// Requests and items that were acted on.
fn acted(file: &Path, task: Option<&str>) -> Result<HashSet<(String, String)>> {
    let column = task.map_or_else(|| "label".to_owned(), |task| format!("label_{task}"));
    let rows = Exposures::open(file)?;
    for needed in ["request_id", "item_id", &column] {
        ensure!(rows.has(needed), "{} has no column {needed}", file.display());
    }
    let mut acted = HashSet::new();
    for batch in rows {
        let batch = batch?;
        let (requests, items) = (texts(&batch, "request_id")?, texts(&batch, "item_id")?);
        let (requests, items) = (requests.as_string::<i32>(), items.as_string::<i32>());
        for (row, label) in numbers(&batch, &column)?.into_iter().enumerate() {
            if label == Some(1.0) && requests.is_valid(row) {
                acted.insert((requests.value(row).to_owned(), items.value(row).to_owned()));
            }
        }
    }
    Ok(acted)
}

/// The estimates of a file; `ask` says what the other model makes of candidates, or why it does not.
pub(super) fn from_lists(
    file: &Path,
    service: &RerankingService,
    acted: &HashSet<(String, String)>,
    alpha: f64,
    mut ask: impl FnMut(&Served, &Rerank) -> Result<Result<Valued, &'static str>>,
) -> Result<ReplayedLog> {
    let (mut lists, mut certain) = (0, 0);
    let mut left_out = BTreeMap::new();
    let mut places: Vec<Place> = Vec::new();
    each(file, |served| {
        let call = served.call()?;
        let valued = match served.forced {
            true => Err("the request named its arm, model or rung"),
            false => ask(&served, &call)?,
        };
        let valued = match valued {
            Ok(valued) => valued,
            Err(cause) => {
                *left_out.entry(cause).or_default() += 1;
                return Ok(());
            }
        };
        lists += 1;
        let found = decisions(&served, &call, valued, service, acted)
            .with_context(|| format!("request {}", served.request_id))?;
        let before = places.len();
        let shown = found.len();
        places.extend(found.into_iter().filter(|place| place.propensity < CERTAIN));
        certain += (shown - (places.len() - before)) as u64;
        Ok(())
    })?;
    if places.is_empty() {
        bail!(
            "{}: at no place of {lists} lists that were logged in full something was drawn, so they say nothing of \
             another model; log in full (exposures.full_share) and explore (a rule `exploration`){}",
            file.display(),
            causes(&left_out)
        );
    }
    let results = replayed(&places)?.results(alpha).with_context(|| {
        format!(
            "{lists} lists were replayed, {certain} of their places are certain{}",
            causes(&left_out)
        )
    })?;
    Ok(ReplayedLog { lists, left_out, certain, results })
}

/// The places of a list.
fn decisions(
    served: &Served,
    call: &Rerank,
    valued: Valued,
    service: &RerankingService,
    acted: &HashSet<(String, String)>,
) -> Result<Vec<Place>> {
    let place_of: HashMap<&str, u32> = call.items.ids().map(ItemId::as_str).zip(0..).collect();
    let list: Option<Vec<u32>> =
        served.items.iter().map(|(item, _)| place_of.get(item.as_str()).copied()).collect();
    let list = list.context("it shows an item that is no candidate of it; the file is damaged")?;
    let number = |value: &f32| if value.is_finite() { f64::from(*value) } else { 0.0 };
    let expected: Vec<f64> = valued.ctr.iter().map(number).collect();
    let (ctr, worth) = (valued.ctr.into(), Some(valued.worth.into()));
    let call = Rerank { ctr, worth, explain: false, ..call.clone() };
    let chances = service.chances(&call, &list, &expected)?;
    let mut places = Vec::with_capacity(list.len());
    for (position, chance) in chances.into_iter().enumerate() {
        let (item, propensity) = &served.items[position];
        let shown = (served.request_id.clone(), item.clone());
        places.push(Place {
            user_id: served.user_id.clone(),
            position,
            reward: f64::from(u8::from(acted.contains(&shown))),
            propensity: propensity.map_or(1.0, f64::from),
            target: chance.chance.min(1.0),
            expected: expected[list[position] as usize],
            expected_target: chance.expected,
        });
    }
    Ok(places)
}

/// Adds the places up. What the model expects is what it predicts, times how much more or less is acted on at a place.
fn replayed(places: &[Place]) -> Result<Replay> {
    let mut sums: HashMap<usize, (f64, f64)> = HashMap::new();
    for place in places {
        let (acted, expected) = sums.entry(place.position).or_default();
        *acted += place.reward;
        *expected += place.expected;
    }
    let mut replay = Replay::default();
    for place in places {
        let (acted, expected) = sums[&place.position];
        let factor = if expected > 0.0 { acted / expected } else { 0.0 };
        replay.add(
            &place.user_id,
            &LoggedDecision {
                reward: place.reward,
                propensity: place.propensity,
                target: place.target,
                expected: factor * place.expected,
                expected_target: factor * place.expected_target,
            },
        )?;
    }
    Ok(replay)
}

/// Has the server value a list's candidates by the model, as of when they were ranked.
fn ask(
    args: &ReplayArgs,
    settings: &Settings,
    server: &ServerClient,
    served: &Served,
    call: &Rerank,
) -> Result<Result<Valued, &'static str>> {
    if served.gave_features {
        return Ok(Err(
            "the request gave features of candidates, which the log has of the shown ones alone",
        ));
    }
    let surface = settings.surfaces.get(&*call.surface).and_then(|one| one.value.as_deref());
    let formula =
        surface.or(settings.scoring.value.as_deref()).map(ValueFormula::parse).transpose()?;
    let ids: Vec<&str> = call.items.ids().map(ItemId::as_str).collect();
    let mut body = json!({
        "user_id": served.user_id,
        "k": ids.len(),
        "candidates": ids,
        "model": args.model,
        "context": {"timestamp": call.as_of},
        "explain": formula.is_some(),
    });
    if let Some(features) = &served.features {
        body["context"]["features"] = serde_json::from_str(features)?;
    }
    let optional = [
        ("surface", (!call.surface.is_empty()).then(|| json!(&*call.surface))),
        ("rung", args.rung.as_ref().map(|rung| json!(rung))),
        ("budget_ms", args.budget_ms.map(|ms| json!(ms))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    let wanted = args.rung.as_deref().unwrap_or("full");
    for _ in 0..TRIES {
        let reply = server.post("/v1/rank", &body)?;
        if reply["rung"] == wanted {
            return Ok(valued(&ids, &reply, formula.as_ref()));
        }
    }
    Ok(Err("the server answered on another rung than was asked for"))
}

/// What a reply says of each candidate.
fn valued(
    ids: &[&str],
    reply: &Value,
    formula: Option<&ValueFormula>,
) -> Result<Valued, &'static str> {
    let placements = reply["explain"]["placements"].as_array().map_or(&[][..], Vec::as_slice);
    let items = reply["items"].as_array().map_or(&[][..], Vec::as_slice);
    let mut known: HashMap<&str, (f32, f32)> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        let ctr = item["ctr"].as_f64().unwrap_or(f64::NAN);
        let worth = formula.map_or(ctr, |formula| {
            let numbers = placements.get(at).map_or(&Value::Null, |placed| &placed["value"]);
            let number = |name: &dyn ToString| numbers[name.to_string()].as_f64();
            let numbers: Vec<f64> =
                formula.names().iter().map(|name| number(name).unwrap_or(f64::NAN)).collect();
            formula.value(&numbers)
        });
        known.insert(item["item_id"].as_str().unwrap_or_default(), (worth as f32, ctr as f32));
    }
    let of = |id: &&str| known.get(id).copied();
    let all: Option<Vec<(f32, f32)>> = ids.iter().map(of).collect();
    let all = all.ok_or("a candidate is gone, or a filter now leaves it out")?;
    let (worth, ctr) = all.into_iter().unzip();
    Ok(Valued { worth, ctr })
}

fn causes(left_out: &BTreeMap<&'static str, u64>) -> String {
    left_out.iter().map(|(cause, lists)| format!("; {lists} left out: {cause}")).collect()
}

/// The estimates for people.
#[must_use]
pub fn log_report(found: &ReplayedLog) -> String {
    let ReplayedLog { lists, left_out, certain, results } = found;
    format!(
        "{lists} lists{}\n{certain} places at which nothing was drawn are left out; of the others, given the places \
         above:\n{}",
        causes(left_out),
        replay_report(results)
    )
}
