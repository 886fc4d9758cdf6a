//! Callers that rank and click without a pause, and a record of their answers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

/// Budget of a request where a test does not say otherwise.
const BUDGET_MS: u32 = 1000;
/// What an answer may take beyond it.
const GRACE_MS: f64 = 5.0;
const CALLERS: usize = 3;
/// Answers in a row of full quality that count as recovered.
const RECOVERED: usize = 15;
/// How soon after the repair.
const RECOVERY: Duration = Duration::from_secs(5);
/// Clicks of each user who clicks.
const CLICKS: usize = 20;

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Full,
    Degraded,
    Refused,
    Nothing,
}

struct Answer {
    asked: Instant,
    answered: Instant,
    seen: Seen,
    /// Why it is not full.
    why: String,
    spent_ms: f64,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {:.1} ms: {}", self.seen, self.spent_ms, self.why)
    }
}

#[derive(Default)]
struct Book {
    answers: Vec<Answer>,
    /// User and item of every acknowledged click.
    clicks: Vec<(String, String)>,
    refused_clicks: usize,
}

impl Book {
    fn clicked(&mut self, acknowledged: bool, user: String, item: String) {
        if acknowledged {
            self.clicks.push((user, item));
        } else {
            self.refused_clicks += 1;
        }
    }
}

/// Running callers.
pub(super) struct Load {
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
    http: Client,
    gateways: Vec<String>,
    budget_ms: u32,
}

impl Load {
    /// Begins to call the gateways; where one does not answer the next is tried, as a load
    /// balancer would.
    pub(super) fn start(gateways: &[String]) -> Self {
        Self::within(BUDGET_MS, gateways)
    }

    /// The same with another budget for each request.
    pub(super) fn within(budget_ms: u32, gateways: &[String]) -> Self {
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let (book, stop) = <(Arc<Mutex<Book>>, Arc<AtomicBool>)>::default();
        let gateways = gateways.to_vec();
        let mut load = Self { book, stop, callers: Vec::new(), http, gateways, budget_ms };
        for caller in 0..CALLERS {
            load.callers.push(tokio::spawn(rank(load.caller(), caller)));
        }
        load.callers.push(tokio::spawn(click(load.caller())));
        load
    }

    fn caller(&self) -> Caller {
        Caller {
            book: Arc::clone(&self.book),
            stop: Arc::clone(&self.stop),
            http: self.http.clone(),
            gateways: self.gateways.clone(),
            budget_ms: self.budget_ms,
        }
    }

    /// What callers saw of the requests they sent since `from`.
    pub(super) fn since(&self, from: Instant) -> Figures {
        let book = self.book.lock();
        Figures::from_answers(book.answers.iter().filter(|answer| answer.asked >= from))
    }

    /// Waits until answers are of full quality again, which must not take longer than it may.
    /// How long after `repair` the last lesser one came.
    pub(super) async fn recovered(&self, repair: Instant) -> Duration {
        loop {
            sleep(Duration::from_millis(50)).await;
            let book = self.book.lock();
            let mut after = book.answers.iter().filter(|answer| answer.asked >= repair).rev();
            let latest: Vec<&Answer> = after.by_ref().take(RECOVERED).collect();
            let full = latest.iter().filter(|answer| answer.seen == Seen::Full).count();
            if full == RECOVERED {
                let answers = book.answers.iter();
                let lesser = answers.filter(|answer| answer.seen != Seen::Full);
                let last = lesser.map(|answer| answer.answered).max().unwrap_or(repair);
                let took = last.saturating_duration_since(repair);
                assert!(took <= RECOVERY, "full quality was back only after {took:?}");
                return took;
            }
            let lesser = latest.iter().find(|answer| answer.seen != Seen::Full);
            let lesser = lesser.map(ToString::to_string);
            assert!(repair.elapsed() < 3 * RECOVERY, "not recovered: {lesser:?}");
        }
    }

    /// Ends the callers and checks the guarantees: every request was answered within its budget, and every
    /// acknowledged click can be read. Returns the figures of the whole run.
    pub(super) async fn end(self) -> Figures {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        let book = std::mem::take(&mut *self.book.lock());
        let figures = Figures::from_answers(book.answers.iter());
        for answer in &book.answers {
            assert!(answer.seen != Seen::Nothing, "{answer}");
            assert!(answer.spent_ms <= f64::from(self.budget_ms) + GRACE_MS, "{answer}");
        }
        assert!(!book.clicks.is_empty(), "no click was acknowledged");
        for clicks in book.clicks.chunk_by(|a, b| a.0 == b.0) {
            let user = &clicks[0].0;
            let url = format!("{}/v1/users/{user}", self.gateways[0]);
            let known = self.http.get(url).send().await.unwrap().text().await.unwrap();
            for (_, item) in clicks {
                assert!(known.contains(&format!("\"{item}\"")), "{user} clicked {item}: {known}");
            }
        }
        let (kept, refused) = (book.clicks.len(), book.refused_clicks);
        println!("  {kept} acknowledged clicks, all kept; {refused} refused");
        figures
    }
}

/// What callers saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) requests: usize,
    pub(super) degraded: usize,
    pub(super) refused: usize,
    pub(super) unanswered: usize,
    slowest_ms: f64,
    /// Why the worst answer was what it was.
    pub(super) why: String,
}

impl Figures {
    fn from_answers<'a>(answers: impl Iterator<Item = &'a Answer>) -> Self {
        let (mut figures, mut worst) = (Self::default(), 0);
        for answer in answers {
            figures.requests += 1;
            match answer.seen {
                Seen::Full => {}
                Seen::Degraded => figures.degraded += 1,
                Seen::Refused => figures.refused += 1,
                Seen::Nothing => figures.unanswered += 1,
            }
            if answer.seen as usize > worst {
                worst = answer.seen as usize;
                figures.why = answer.to_string().chars().take(300).collect();
            }
            figures.slowest_ms = figures.slowest_ms.max(answer.spent_ms);
        }
        figures
    }
}

impl Figures {
    /// Every request was answered, and all but a stray one (the machine may be busy with other
    /// things) with a ranking.
    pub(super) fn assert_ranked(&self) {
        let stray = 1 + self.requests / 20;
        assert!(self.unanswered == 0 && self.refused <= stray, "{self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, degraded, refused, unanswered, slowest_ms, why } = self;
        let share = 100.0 * *degraded as f64 / (*requests).max(1) as f64;
        write!(
            f,
            "{requests} requests, {degraded} degraded ({share:.0} %), {refused} refused, \
             {unanswered} unanswered, slowest {slowest_ms:.0} ms"
        )?;
        if why.is_empty() { Ok(()) } else { write!(f, "; worst: {why}") }
    }
}

struct Caller {
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
    http: Client,
    gateways: Vec<String>,
    budget_ms: u32,
}

impl Caller {
    /// Status and body of the first gateway that answers.
    async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), String> {
        let mut failed = String::new();
        for gateway in &self.gateways {
            match self.http.post(format!("{gateway}{path}")).json(body).send().await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    return Ok((status, answer.json().await.unwrap_or_default()));
                }
                Err(error) => failed = format!("{error:?}"),
            }
        }
        Err(failed)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

async fn rank(caller: Caller, number: usize) {
    let mut user = number;
    while !caller.stopped() {
        user += CALLERS;
        let body = json!({"user_id": format!("u{}", user % 500 + 1), "k": 20, "budget_ms": caller.budget_ms});
        let asked = Instant::now();
        let (seen, why, spent_ms) = match caller.post("/v1/rank", &body).await {
            Ok((200, reply)) => {
                let full = reply["degraded"] == json!([]);
                let seen = if full { Seen::Full } else { Seen::Degraded };
                let spent_ms = reply["budget"]["spent_ms"].as_f64().unwrap_or(f64::MAX);
                (seen, reply["degraded"].to_string(), spent_ms)
            }
            Ok((status, problem)) => (Seen::Refused, format!("{status} {problem}"), 0.0),
            Err(error) => (Seen::Nothing, error, 0.0),
        };
        let answer = Answer { asked, answered: Instant::now(), seen, why, spent_ms };
        caller.book.lock().answers.push(answer);
        sleep(Duration::from_millis(15)).await;
    }
}

async fn click(caller: Caller) {
    let mut number = 0;
    while !caller.stopped() {
        let (user, item) = (format!("clicker-{}", number / CLICKS), format!("i{}", number + 1));
        let event = json!({"event_id": format!("e{number}"), "type": "click", "user_id": user, "item_id": item});
        let told = caller.post("/v1/events", &json!({"events": [event]})).await;
        caller.book.lock().clicked(told.is_ok_and(|(status, _)| status == 202), user, item);
        number += 1;
        sleep(Duration::from_millis(25)).await;
    }
}
