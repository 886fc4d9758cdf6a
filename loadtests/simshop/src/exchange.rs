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
    /// Folders of second models, among the server's models. Each is loaded in turn and removed again; the last and the
    /// first model are activated in turns.
    pub folders: Vec<String>,
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
    /// Share of the requests that rank the whole catalog. They are timed only; the others name their candidates, so
    /// that each has one answer a model.
    pub whole: f64,
}

/// Latencies of a phase, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct ExchangePhase {
    /// What went on.
    pub name: &'static str,
    /// How long.
    pub seconds: f64,
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
    answers: Mutex<Vec<(f64, usize, Answer)>>,
    /// When the phase began.
    since: Mutex<Instant>,
    stop: AtomicBool,
    next: AtomicUsize,
}

/// What came of a request.
enum Answer {
    Failed,
    /// A ranking of the whole catalog, and whether nothing about it is degraded.
    Catalog {
        whole: bool,
    },
    /// One of fixed candidates.
    Fixed(Fixed),
}

impl Answer {
    fn is_degraded(&self) -> bool {
        match self {
            Self::Fixed(Fixed { whole, .. }) | Self::Catalog { whole } => !whole,
            Self::Failed => false,
        }
    }

    fn fixed(&self) -> Option<&Fixed> {
        match self {
            Self::Fixed(fixed) => Some(fixed),
            Self::Failed | Self::Catalog { .. } => None,
        }
    }
}

impl Asked {
    fn new() -> Self {
        Self {
            answers: Mutex::default(),
            since: Mutex::new(Instant::now()),
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
        }
    }
}

/// Measures.
///
/// # Errors
/// When the server cannot be reached, or the model is not loaded.
pub fn exchange(plan: &Exchange) -> anyhow::Result<Vec<ExchangePhase>> {
    ensure!(plan.rate > 0.0 && plan.threads > 0 && plan.users > 0, "nothing would be asked");
    ensure!((0.0..=1.0).contains(&plan.whole), "--whole is a share, is {}", plan.whole);
    let client = ShopClient::new(&plan.server);
    let first = client.models()?.active;
    let asked = Asked::new();
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
    let mut given = known(client, plan.users)?;
    let (mut phases, mut second) = (Vec::new(), None::<String>);
    for folder in &plan.folders {
        if let Some(before) = second {
            client.remove(&before)?;
        }
        // What the first requests warm is not measured, nor what a removed model leaves to be done.
        thread::sleep(plan.alone / 4);
        asked.take("warming", &given);
        thread::sleep(plan.alone);
        phases.push(asked.take("alone", &given));
        let version = client.load(folder)?;
        loaded(client, &version)?;
        phases.push(asked.take("loading", &given));
        second = Some(version);
    }
    let second = second.context("no folder of a second model is named")?;
    client.activate(&second)?;
    given.extend(known(client, plan.users)?);
    asked.take("known", &given);
    for number in 0..plan.activations {
        client.activate(if number % 2 == 0 { first } else { &second })?;
        thread::sleep(Duration::from_millis(250));
    }
    phases.push(asked.take("exchanging", &given));
    client.activate(first)?;
    client.remove(&second)?;
    Ok(phases)
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

/// Items of a list of the whole catalog.
const LIST: usize = 20;

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
            // Spread evenly over all.
            let of_catalog = (number as f64 * plan.whole).fract() + plan.whole >= 1.0;
            let answer = match of_catalog {
                true => client
                    .rank(user, LIST, None)
                    .map(|served| Answer::Catalog { whole: served.whole }),
                false => client.fixed(user).map(Answer::Fixed),
            };
            let answer = answer.unwrap_or(Answer::Failed);
            self.answers.lock().push((at.elapsed().as_secs_f64() * 1e3, user, answer));
        }
    }

    fn take(&self, name: &'static str, given: &Given) -> ExchangePhase {
        let answers = std::mem::take(&mut *self.answers.lock());
        let since = std::mem::replace(&mut *self.since.lock(), Instant::now());
        let ranked = || answers.iter().filter_map(|(_, user, one)| Some((*user, one.fixed()?)));
        let mut models: Vec<String> = ranked().map(|(_, one)| one.model.clone()).collect();
        models.sort_unstable();
        models.dedup();
        let degraded = answers.iter().filter(|(.., one)| one.is_degraded()).count();
        let mixed =
            ranked().filter(|(user, one)| one.whole && !as_given(given, *user, one)).count();
        let mut times: Vec<f64> = answers.iter().map(|(ms, ..)| *ms).collect();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (times.len() as f64 * share).ceil() as usize;
            times.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        let failed = answers.iter().filter(|(.., one)| matches!(one, Answer::Failed)).count();
        let seconds = since.elapsed().as_secs_f64();
        let (p50_ms, p99_ms) = (at(0.5), at(0.99));
        ExchangePhase {
            name,
            seconds,
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
    fn a_phase_reports_percentiles_and_mixed_answers() {
        let fixed = |ms: usize| Fixed {
            model: "m".to_owned(),
            whole: ms != 9,
            ctr: vec![if ms == 8 { 0.7 } else { 0.5 }],
        };
        let answer = |ms: usize| match ms {
            7 => Answer::Failed,
            6 => Answer::Catalog { whole: true },
            ms => Answer::Fixed(fixed(ms)),
        };
        let answers = (1..=200).map(|ms| (ms as f64, 0, answer(ms)));
        let asked = Asked { answers: Mutex::new(answers.collect()), ..Asked::new() };
        let given = Given::from([(("m".to_owned(), 0), vec![0.500_01])]);
        let phase = asked.take("alone", &given);
        assert_eq!((phase.requests, phase.failed, phase.degraded, phase.mixed), (200, 1, 1, 1));
        assert_eq!((phase.p50_ms, phase.p99_ms), (100.0, 198.0));
        assert_eq!(phase.models, ["m"]);
        assert_eq!(asked.take("next", &given).requests, 0);
    }
}
