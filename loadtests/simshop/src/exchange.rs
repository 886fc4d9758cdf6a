//! What a second model costs those who are served meanwhile: latencies alone, while it is loaded, and while it
//! and the first one are activated in turns.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::shop_client::ShopClient;

/// How a server is asked.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its address.
    pub url: String,
    /// Folder of the second model, among the server's models.
    pub folder: String,
    /// Rank requests a second.
    pub rate: f64,
    /// Requests at a time, at most.
    pub threads: usize,
    /// How long latencies are measured alone.
    pub alone: Duration,
    /// How often the active model is exchanged.
    pub activations: usize,
    /// Users that are ranked for: `u1` and on.
    pub users: usize,
}

/// Latencies of a phase, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What went on.
    pub name: &'static str,
    /// Answers.
    pub requests: usize,
    /// Requests that were not answered with a ranking.
    pub failed: usize,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Models that answered.
    pub models: Vec<String>,
}

/// Asked all the time; a phase takes what has come since the one before.
struct Asked {
    answers: Mutex<Vec<(f64, Option<String>)>>,
    stop: AtomicBool,
    next: AtomicUsize,
}

/// Measures.
///
/// # Errors
/// When the server cannot be reached, or the model is not loaded.
pub fn exchange(plan: &Exchange) -> anyhow::Result<Vec<Phase>> {
    ensure!(plan.rate > 0.0 && plan.threads > 0 && plan.users > 0, "nothing would be asked");
    let client = ShopClient::new(&plan.url);
    let first = client.models()?.active;
    let asked = Asked {
        answers: Mutex::default(),
        stop: AtomicBool::new(false),
        next: AtomicUsize::new(0),
    };
    thread::scope(|scope| {
        let begun = Instant::now();
        let asked = &asked;
        for _ in 0..plan.threads {
            scope.spawn(move || asked.ask(plan, begun));
        }
        let phases = phases(plan, &client, asked, &first);
        asked.stop.store(true, Ordering::Relaxed);
        phases
    })
}

fn phases(
    plan: &Exchange,
    client: &ShopClient,
    asked: &Asked,
    first: &str,
) -> anyhow::Result<Vec<Phase>> {
    // What the first requests warm is not measured.
    thread::sleep(plan.alone / 4);
    asked.take("warming");
    thread::sleep(plan.alone);
    let alone = asked.take("alone");
    let second = client.load(&plan.folder)?;
    let loading = loaded(client, &second).map(|()| asked.take("loading"));
    let loading = loading?;
    for number in 0..plan.activations {
        client.activate(if number % 2 == 0 { &second } else { first })?;
        thread::sleep(Duration::from_millis(250));
    }
    let exchanging = asked.take("exchanging");
    client.activate(first)?;
    client.remove(&second)?;
    Ok(vec![alone, loading, exchanging])
}

/// Waits until a model is ready.
fn loaded(client: &ShopClient, version: &str) -> anyhow::Result<()> {
    for _ in 0..6_000 {
        let models = client.models()?;
        let state = models.states.get(version).context("the model is not among the models")?;
        match state.as_str() {
            "ready" => return Ok(()),
            "loading" => thread::sleep(Duration::from_millis(100)),
            other => bail!("the model {version} is {other}"),
        }
    }
    bail!("the model {version} was not loaded in ten minutes")
}

impl Asked {
    /// One of those that ask, at the pace of all together.
    fn ask(&self, plan: &Exchange, begun: Instant) {
        let client = ShopClient::new(&plan.url);
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let due = Duration::from_secs_f64(number as f64 / plan.rate);
            thread::sleep(due.saturating_sub(begun.elapsed()));
            let at = Instant::now();
            let served = client.rank(number % plan.users, 10, None);
            let model = served.ok().and_then(|served| served.model);
            let answer = (at.elapsed().as_secs_f64() * 1e3, model);
            // A poisoned lock has its list still.
            self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(answer);
        }
    }

    fn take(&self, name: &'static str) -> Phase {
        let answers = std::mem::take(
            &mut *self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        let failed = answers.iter().filter(|(_, model)| model.is_none()).count();
        let mut models: Vec<String> = answers.iter().filter_map(|(_, one)| one.clone()).collect();
        models.sort_unstable();
        models.dedup();
        let mut times: Vec<f64> = answers.iter().map(|(ms, _)| *ms).collect();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (times.len() as f64 * share).ceil() as usize;
            times.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        Phase { name, requests: times.len(), failed, p50_ms: at(0.5), p99_ms: at(0.99), models }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_the_percentiles_of_its_answers() {
        let asked = Asked {
            answers: Mutex::new(
                (1..=200).map(|ms| (f64::from(ms), (ms != 7).then(|| "m".to_owned()))).collect(),
            ),
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
        };
        let phase = asked.take("alone");
        assert_eq!((phase.requests, phase.failed), (200, 1));
        assert_eq!((phase.p50_ms, phase.p99_ms), (100.0, 198.0));
        assert_eq!(phase.models, ["m"]);
        assert_eq!(asked.take("next").requests, 0);
    }
}
