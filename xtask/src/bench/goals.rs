//! What a request may cost, beside what it costs.

use super::{
    measure::Results,
    subject::{Setting, Subject},
};

/// One goal.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) wanted: String,
    pub(crate) measured: Option<f64>,
    pub(crate) reached: bool,
}

/// All goals that this run can say something about.
pub(crate) fn all(results: &Results) -> Vec<Goal> {
    let plugrank = Subject::Plugrank;
    let (many, few, one) = (Setting::new(500, 8), Setting::new(50, 32), Setting::new(500, 1));
    let retrieved = Setting::new(Setting::RETRIEVED, 8);
    let cpu = |subject, setting| results.median(subject, setting, |measured| measured.cpu_us);
    let outside =
        cpu(plugrank, many).zip(cpu(Subject::Limit, many)).map(|(all, graph)| all - graph);
    let p50 = results.median(plugrank, one, |measured| measured.p50_us / 1e3);
    let p99 = results.median(plugrank, one, |measured| measured.p99_us / 1e3);
    let rows = results.ratio((plugrank, retrieved), (Subject::Limit, many));
    let rows = rows.map(|ratio| ratio * retrieved.rows() as f64 / many.rows() as f64);
    vec![
        least(
            "500 candidates, 8 connections: share of the limit",
            0.70,
            results.of_limit(plugrank, many),
        ),
        most("the same: CPU outside the graph, us a request", 120.0, outside),
        least(
            "50 candidates, 32 connections: share of the handler with MMR",
            0.70,
            results.ratio((plugrank, few), (Subject::Mmr, few)),
        ),
        least(
            "the same: times FastAPI",
            3.0,
            results.ratio((plugrank, few), (Subject::FastApi, few)),
        ),
        most("500 candidates, 1 connection: p50, ms", 0.45, p50),
        most("the same: p99 over p50", 3.0, p99.zip(p50).map(|(p99, p50)| p99 / p50)),
        least("300 retrieved, 8 connections: share of the limit's rows at 500", 0.35, rows),
        most(
            "the same: cores at 1,000 requests/s",
            0.6,
            cpu(plugrank, retrieved).map(|cpu_us| cpu_us / 1e3),
        ),
    ]
}

fn least(what: &'static str, least: f64, measured: Option<f64>) -> Goal {
    let reached = measured.is_some_and(|measured| measured >= least);
    Goal { what, wanted: format!("at least {least}"), measured, reached }
}

fn most(what: &'static str, most: f64, measured: Option<f64>) -> Goal {
    let reached = measured.is_some_and(|measured| measured <= most);
    Goal { what, wanted: format!("at most {most}"), measured, reached }
}
