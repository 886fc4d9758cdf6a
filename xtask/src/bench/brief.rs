//! The brief form: a minute, and an exit code.

use std::time::Instant;

use anyhow::{Result, bail};

use super::{
    measure::{Results, Runner},
    servers::Servers,
    subject::{Setting, Subject},
};

/// Seconds of one measurement: short ones, many rounds, so that what else runs on the machine falls
/// on both alike.
const SECONDS: f64 = 0.7;
const ROUNDS: usize = 6;

/// Least share of what the handler with MMR does. Generous: a busy machine passes, a request path
/// that lost half its speed does not.
const FLOORS: [(Setting, f64); 2] = [(Setting::new(500, 8), 0.3), (Setting::new(50, 32), 0.3)];

pub(crate) fn run(servers: &Servers) -> Result<()> {
    let begun = Instant::now();
    let subjects = vec![Subject::Mmr, Subject::Plugrank];
    let runner = Runner { servers, seconds: SECONDS, repeats: ROUNDS, subjects };
    let mut results = Results::default();
    runner.closed(&FLOORS.map(|(setting, _)| setting), &mut results)?;
    let mut missed = Vec::new();
    for (setting, floor) in FLOORS {
        let (handler, plugrank) = ((Subject::Mmr, setting), (Subject::Plugrank, setting));
        let rate = results.ratio(plugrank, handler).unwrap_or(0.0);
        let less = results.median(Subject::Plugrank, setting, |measured| measured.not_whole);
        let cpu = results.ratio_of(handler, plugrank, |measured| measured.cpu_us);
        // An answer with less than was asked costs less.
        let cpu = cpu.filter(|_| less.is_some_and(|less| less < 0.01)).unwrap_or(0.0);
        println!(
            "{}: {rate:.2} of the handler's rate, {cpu:.2} by CPU time; one of them at least {floor:.2}",
            setting.heading(),
        );
        // What else runs on the machine spoils one sooner than both.
        if rate.max(cpu) < floor {
            missed.push(format!("{:.2} < {floor:.2} at {}", rate.max(cpu), setting.heading()));
        }
    }
    println!("measured in {:.0} s", begun.elapsed().as_secs_f64());
    if missed.is_empty() {
        return Ok(());
    }
    bail!(
        "Plugrank is too slow beside the plain handler ({}); `cargo xtask bench` shows where the time \
         goes",
        missed.join(", ")
    )
}
