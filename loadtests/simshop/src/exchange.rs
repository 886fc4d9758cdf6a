//! What a second model costs those who are served meanwhile: latencies alone, while it is loaded, and while it
//! and the first one are activated in turns.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use serde::Serialize;

use crate::shop_client::{Fixed, ShopClient, ShopServer};

/// How a server is asked.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which, and by which key.
    pub server: ShopServer,
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
pub struct ExchangePhase {
    /// What went on.
    pub name: &'static str,
    /// Answers.
    pub requests: usize,
    /// Requests that were not answered with a ranking.
    pub failed: usize,
    /// Rankings on a lower rung than the full one.
    pub degraded: usize,
    /// Full rankings that are not what the model they name gives.
    pub mixed: usize,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Models that answered.
    pub models: Vec<String>,
}

/// Asked all the time; a phase takes what has come since the one before.
struct Asked {
    /// Milliseconds, for whom, and the answer.
    answers: Mutex<Vec<(f64, usize, Option<Fixed>)>>,
    stop: AtomicBool,
    next: AtomicUsize,
}

/// Measures.
///
/// # Errors
/// When the server cannot be reached, or the model is not loaded.
pub fn exchange(plan: &Exchange) -> anyhow::Result<Vec<ExchangePhase>> {
    ensure!(plan.rate > 0.0 && plan.threads > 0 && plan.users > 0, "nothing would be asked");
    let client = ShopClient::new(&plan.server);
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
) -> anyhow::Result<Vec<ExchangePhase>> {
    // What the first requests warm is not measured.
    thread::sleep(plan.alone / 4);
    asked.take("warming", &HashMap::new());
    thread::sleep(plan.alone);
    let mut given = known(client, plan.users)?;
    let alone = asked.take("alone", &given);
    let second = client.load(&plan.folder)?;
    loaded(client, &second)?;
    let loading = asked.take("loading", &given);
    client.activate(&second)?;
    given.extend(known(client, plan.users)?);
    asked.take("known", &given);
    for number in 0..plan.activations {
        client.activate(if number % 2 == 0 { first } else { &second })?;
        thread::sleep(Duration::from_millis(250));
    }
    let exchanging = asked.take("exchanging", &given);
    client.activate(first)?;
    client.remove(&second)?;
    Ok(vec![alone, loading, exchanging])
}

/// What the active model gives each user.
fn known(client: &ShopClient, users: usize) -> anyhow::Result<Given> {
    let of = |user| {
        let Fixed { model, whole, ctr } = client.fixed(user)?;
        ensure!(whole, "a ranking for u{} was degraded before anything began", user + 1);
        Ok(((model, user), ctr))
    };
    (0..users).map(of).collect()
}

/// Probabilities by model and user.
type Given = HashMap<(String, usize), Vec<f64>>;

/// How far probabilities may be from what the same model gave: their last digits depend on the batch.
const ALIKE: f64 = 1e-4;

/// Whether a ranking is what its model gives.
fn as_given(given: &Given, user: usize, answer: &Fixed) -> bool {
    given.get(&(answer.model.clone(), user)).is_some_and(|known| {
        known.len() == answer.ctr.len()
            && known.iter().zip(&answer.ctr).all(|(one, other)| (one - other).abs() < ALIKE)
    })
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
        let client = ShopClient::new(&plan.server);
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let due = Duration::from_secs_f64(number as f64 / plan.rate);
            thread::sleep(due.saturating_sub(begun.elapsed()));
            let at = Instant::now();
            let user = number % plan.users;
            let served = client.fixed(user).ok();
            self.answers.lock().push((at.elapsed().as_secs_f64() * 1e3, user, served));
        }
    }

    fn take(&self, name: &'static str, given: &Given) -> ExchangePhase {
        let answers = std::mem::take(&mut *self.answers.lock());
        let ranked = || answers.iter().filter_map(|(_, user, one)| Some((*user, one.as_ref()?)));
        let mut models: Vec<String> = ranked().map(|(_, one)| one.model.clone()).collect();
        models.sort_unstable();
        models.dedup();
        let degraded = ranked().filter(|(_, one)| !one.whole).count();
        let mixed =
            ranked().filter(|(user, one)| one.whole && !as_given(given, *user, one)).count();
        let mut times: Vec<f64> = answers.iter().map(|(ms, ..)| *ms).collect();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (times.len() as f64 * share).ceil() as usize;
            times.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        let failed = answers.len() - ranked().count();
        let (p50_ms, p99_ms) = (at(0.5), at(0.99));
        ExchangePhase {
            name,
            requests: times.len(),
            failed,
            degraded,
            mixed,
            p50_ms,
            p99_ms,
            models,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_the_percentiles_of_its_answers_and_finds_a_mixture() {
        let fixed = |ms: usize| Fixed {
            model: "m".to_owned(),
            whole: ms != 9,
            ctr: vec![if ms == 8 { 0.7 } else { 0.5 }],
        };
        let answers = (1..=200).map(|ms| (ms as f64, 0, (ms != 7).then(|| fixed(ms))));
        let asked = Asked {
            answers: Mutex::new(answers.collect()),
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
        };
        let given = Given::from([(("m".to_owned(), 0), vec![0.500_01])]);
        let phase = asked.take("alone", &given);
        assert_eq!((phase.requests, phase.failed, phase.degraded, phase.mixed), (200, 1, 1, 1));
        assert_eq!((phase.p50_ms, phase.p99_ms), (100.0, 198.0));
        assert_eq!(phase.models, ["m"]);
        assert_eq!(asked.take("next", &given).requests, 0);
    }
}
