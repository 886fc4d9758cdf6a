//! Figures of the time between two scrapes.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::Scrape;

const RANK: (&str, &str) = ("route", "/v1/rank");
const REQUESTS: &str = "plugrank_http_requests_total";
const SECONDS: &str = "plugrank_http_request_duration_seconds";
const ANSWERS: &str = "plugrank_answers_total";
const ROWS: &str = "plugrank_ranked_rows_total";
const STAGES: &str = "plugrank_stage_duration_seconds";
const IN_FLIGHT: &str = "plugrank_rank_in_flight";

/// What a server did since the scrape before, or since it started.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// The time it is about; none: since the start.
    pub seconds: Option<f64>,
    /// Rankings.
    pub rankings: f64,
    /// Rankings a second.
    pub rankings_per_second: Option<f64>,
    /// Rankings in flight at the moment.
    pub in_flight: f64,
    /// Median time of a ranking; none without one.
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Answers by the rung they stand on; those without an answer are left out.
    pub rungs: BTreeMap<String, f64>,
    /// Candidates scored a second.
    pub rows_per_second: Option<f64>,
    /// Share of the candidates whose record was in memory.
    pub hit_rate: Option<f64>,
    /// 99th percentile of each stage.
    pub stages_p99_ms: BTreeMap<String, f64>,
    /// Requests by status, of all routes.
    pub statuses: BTreeMap<String, f64>,
}

impl Figures {
    /// Of `now`, since a scrape some time ago.
    #[must_use]
    pub fn between(before: Option<(&Scrape, Duration)>, now: &Scrape) -> Self {
        let none = Scrape::default();
        let (before, seconds) = match before {
            Some((before, time)) => (before, Some(time.as_secs_f64())),
            None => (&none, None),
        };
        let sum = |name, labels: &[(&str, &str)]| now.sum(name, labels) - before.sum(name, labels);
        let by = |name, label| {
            let earlier = before.by(name, label);
            let mut sums = now.by(name, label);
            sums.iter_mut()
                .for_each(|(value, sum)| *sum -= earlier.get(value).copied().unwrap_or(0.0));
            sums.retain(|_, sum| *sum > 0.0);
            sums
        };
        let quantile = |name, labels: &[(&str, &str)], share| {
            let (earlier, now) = (before.buckets(name, labels), now.buckets(name, labels));
            let below = |bound: f64| {
                earlier.iter().find(|(of, _)| *of == bound).map_or(0.0, |(_, below)| *below)
            };
            let buckets = now.into_iter().map(|(bound, count)| (bound, count - below(bound)));
            quantile(&buckets.collect::<Vec<_>>(), share).map(|seconds| seconds * 1e3)
        };
        let (rankings, rows) = (sum(REQUESTS, &[RANK]), sum(ROWS, &[]));
        let per_second = |count: f64| seconds.map(|seconds| count / seconds.max(1e-9));
        let stages = now.by(&format!("{STAGES}_count"), "stage").into_keys();
        Self {
            seconds,
            rankings,
            rankings_per_second: per_second(rankings),
            in_flight: now.sum(IN_FLIGHT, &[]),
            p50_ms: quantile(SECONDS, &[RANK], 0.5),
            p99_ms: quantile(SECONDS, &[RANK], 0.99),
            rungs: by(ANSWERS, "rung"),
            rows_per_second: per_second(rows),
            hit_rate: (rows > 0.0).then(|| sum(ROWS, &[("origin", "memory")]) / rows),
            stages_p99_ms: stages
                .filter_map(|stage| {
                    let p99 = quantile(STAGES, &[("stage", &stage)], 0.99)?;
                    Some((stage, p99))
                })
                .collect(),
            statuses: by(REQUESTS, "status"),
        }
    }
}

/// A quantile within its bucket, evenly spread, as Prometheus has it; none without samples.
fn quantile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let (_, all) = *buckets.last()?;
    if all <= 0.0 {
        return None;
    }
    let wanted = all * share;
    let at = buckets.iter().position(|(_, below)| *below >= wanted)?;
    let (bound, below) = buckets[at];
    let (low, under) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    // Above the last bound nothing is known but that.
    if bound.is_infinite() {
        return Some(low);
    }
    Some(low + (bound - low) * (wanted - under) / (below - under).max(f64::MIN_POSITIVE))
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |value: Option<f64>, digits: usize, unit: &str| match value {
            Some(value) => format!("{value:.digits$}{unit}"),
            None => "-".to_owned(),
        };
        let shares = |counts: &BTreeMap<String, f64>| {
            let all: f64 = counts.values().sum();
            let parts =
                counts.iter().map(|(name, count)| format!("{name} {:.1}%", 100.0 * count / all));
            parts.collect::<Vec<_>>().join(", ")
        };
        match self.seconds {
            None => writeln!(f, "since the start")?,
            Some(seconds) => writeln!(f, "in {seconds:.1} s")?,
        }
        writeln!(
            f,
            "rankings  {:.0} ({}), {:.0} in flight",
            self.rankings,
            known(self.rankings_per_second, 1, "/s"),
            self.in_flight
        )?;
        writeln!(
            f,
            "time      p50 {}, p99 {}",
            known(self.p50_ms, 1, " ms"),
            known(self.p99_ms, 1, " ms")
        )?;
        let stages = self.stages_p99_ms.iter().map(|(stage, ms)| format!("{stage} {ms:.1} ms"));
        writeln!(f, "p99 of    {}", stages.collect::<Vec<_>>().join(", "))?;
        writeln!(f, "rungs     {}", shares(&self.rungs))?;
        writeln!(
            f,
            "rows      {}, {} from memory",
            known(self.rows_per_second, 0, "/s"),
            known(self.hit_rate.map(|rate| 100.0 * rate), 1, "%")
        )?;
        writeln!(f, "statuses  {}", shares(&self.statuses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(rankings: u32, slow: u32, idrec: u32) -> Scrape {
        let fast = rankings - slow;
        let text = format!(
            "{REQUESTS}{{route=\"/v1/rank\",status=\"200\"}} {rankings}\n\
             {REQUESTS}{{route=\"/healthz\",status=\"200\"}} 7\n\
             {SECONDS}_bucket{{route=\"/v1/rank\",le=\"0.01\"}} {fast}\n\
             {SECONDS}_bucket{{route=\"/v1/rank\",le=\"0.02\"}} {rankings}\n\
             {SECONDS}_bucket{{route=\"/v1/rank\",le=\"+Inf\"}} {rankings}\n\
             {ANSWERS}{{rung=\"idrec\"}} {idrec}\n\
             {ROWS}{{origin=\"memory\"}} {}\n\
             {ROWS}{{origin=\"store\"}} {}\n\
             {IN_FLIGHT} 2\n",
            rankings * 3,
            rankings
        );
        Scrape::read(&text).unwrap()
    }

    #[test]
    fn rates_cover_the_time_between_two_scrapes() {
        let (before, now) = (scrape(100, 100, 5), scrape(120, 110, 5));
        let figures = Figures::between(Some((&before, Duration::from_secs(2))), &now);
        assert_eq!(figures.rankings, 20.0);
        assert_eq!(figures.rankings_per_second, Some(10.0));
        assert_eq!(figures.in_flight, 2.0);
        // Ten of twenty within 10 ms, ten between 10 and 20.
        assert_eq!(figures.p50_ms, Some(10.0));
        assert!((figures.p99_ms.unwrap() - 19.8).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.hit_rate, Some(0.75));
        assert!(figures.rungs.is_empty(), "{figures:?}");
        assert_eq!(figures.statuses["200"], 20.0);
    }

    #[test]
    fn a_server_without_requests_has_no_latencies() {
        let figures = Figures::between(None, &Scrape::default());
        assert_eq!((figures.p50_ms, figures.hit_rate, figures.seconds), (None, None, None));
        assert!(figures.to_string().contains("p50 -, p99 -"), "{figures}");
    }

    #[test]
    fn quantiles_beyond_the_last_bucket_are_unknown() {
        assert_eq!(quantile(&[(0.1, 1.0), (f64::INFINITY, 10.0)], 0.99), Some(0.1));
        assert_eq!(quantile(&[(0.1, 0.0)], 0.5), None);
    }
}
