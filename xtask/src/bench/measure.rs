//! Measures in turn, and keeps every measurement.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    servers::Servers,
    subject::{Setting, Subject},
};
use crate::process;

/// Share of the closed loop's rate that an open loop asks for.
const OPEN_SHARE: f64 = 0.7;
/// Seconds of load before a measurement begins.
const WARM_UP: f64 = 0.3;

/// One measurement, as `plugrank-bench` prints it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) cpu_us: f64,
    pub(crate) client_cpu_us: f64,
    /// Answers, whole or degraded.
    pub(crate) answered: f64,
    /// Answers later than the budget and 5 ms.
    pub(crate) late: f64,
    /// Answers that were degraded, refused or missing, as a share of all.
    pub(crate) not_whole: f64,
}

impl Measured {
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let number = |key: &str| value[key].as_f64().unwrap_or(f64::NAN);
        let (whole, degraded) = (number("requests"), number("degraded"));
        let less = degraded + number("failed");
        Ok(Self {
            per_second: number("per_second"),
            p50_us: number("p50_us"),
            p99_us: number("p99_us"),
            cpu_us: number("cpu_us"),
            client_cpu_us: number("client_cpu_us"),
            answered: whole + degraded,
            late: number("late"),
            not_whole: less / (whole + less).max(1.0),
        })
    }
}

/// All measurements of a run.
#[derive(Default)]
pub(crate) struct Results(BTreeMap<(Setting, Subject), Vec<Measured>>);

impl Results {
    /// Median of what the measurements of a setting say.
    pub(crate) fn median(
        &self,
        subject: Subject,
        setting: Setting,
        of: impl Fn(&Measured) -> f64,
    ) -> Option<f64> {
        median(self.0.get(&(setting, subject))?.iter().map(of).collect())
    }

    /// Medians of a setting's measurements, each quantity by itself.
    pub(crate) fn median_of(&self, subject: Subject, setting: Setting) -> Option<Measured> {
        let of =
            |field: fn(&Measured) -> f64| self.median(subject, setting, field).unwrap_or(f64::NAN);
        self.0.contains_key(&(setting, subject)).then(|| Measured {
            per_second: of(|measured| measured.per_second),
            p50_us: of(|measured| measured.p50_us),
            p99_us: of(|measured| measured.p99_us),
            cpu_us: of(|measured| measured.cpu_us),
            client_cpu_us: of(|measured| measured.client_cpu_us),
            answered: of(|measured| measured.answered),
            late: of(|measured| measured.late),
            not_whole: of(|measured| measured.not_whole),
        })
    }

    /// Requests a second.
    pub(crate) fn rate(&self, subject: Subject, setting: Setting) -> Option<f64> {
        self.median(subject, setting, |measured| measured.per_second)
    }

    /// Rate as a share of another's: the median over the rounds, in each of which both were measured
    /// one soon after the other.
    pub(crate) fn ratio(&self, one: (Subject, Setting), other: (Subject, Setting)) -> Option<f64> {
        self.ratio_of(one, other, |measured| measured.per_second)
    }

    /// The same of something else than the rate.
    pub(crate) fn ratio_of(
        &self,
        (one, setting): (Subject, Setting),
        (other, of_other): (Subject, Setting),
        of: impl Fn(&Measured) -> f64,
    ) -> Option<f64> {
        let (ones, others) = (self.0.get(&(setting, one))?, self.0.get(&(of_other, other))?);
        median(ones.iter().zip(others).map(|(one, other)| of(one) / of(other)).collect())
    }

    /// Rate as a share of what the graph allows in the same setting.
    pub(crate) fn of_limit(&self, subject: Subject, setting: Setting) -> Option<f64> {
        self.ratio((subject, setting), (Subject::Limit, setting.of_limit()))
    }

    /// Subjects that were measured, in order.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        let measured = |one: &Subject| self.0.keys().any(|(_, subject)| subject == one);
        Subject::ALL.into_iter().filter(measured).collect()
    }

    /// Settings in which some answers were not whole, with their share.
    pub(crate) fn not_whole(&self) -> Vec<(Subject, Setting, f64)> {
        let share = |(setting, subject): &(Setting, Subject)| {
            let share = self.median(*subject, *setting, |measured| measured.not_whole)?;
            (share > 0.001).then_some((*subject, *setting, share))
        };
        self.0.keys().filter_map(share).collect()
    }

    /// Keeps a measurement.
    pub(crate) fn add(&mut self, subject: Subject, setting: Setting, measured: Measured) {
        self.0.entry((setting, subject)).or_default().push(measured);
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { (values[middle - 1] + upper) / 2.0 } else { upper })
}

/// Measures.
pub(crate) struct Runner<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) seconds: f64,
    pub(crate) repeats: usize,
    /// What is asked.
    pub(crate) subjects: Vec<Subject>,
}

impl Runner<'_> {
    /// Every subject in every setting, `repeats` times round.
    pub(crate) fn closed(&self, settings: &[Setting], results: &mut Results) -> Result<()> {
        for round in 1..=self.repeats {
            for setting in settings {
                println!("round {round} of {}: {}", self.repeats, setting.heading());
                for subject in self.subjects.iter().copied().filter(|one| setting.asks(*one)) {
                    let measured = self.measure(subject, *setting, None)?;
                    show(subject, &measured);
                    results.add(subject, *setting, measured);
                }
            }
        }
        Ok(())
    }

    /// Open loops at a share of what each server reached in the closed loop of eight connections.
    pub(crate) fn open(&self, results: &mut Results) -> Result<()> {
        for round in 1..=self.repeats {
            for candidates in [500, Setting::RETRIEVED] {
                let setting = Setting::open(candidates);
                println!(
                    "round {round} of {}: open loop, {} candidates",
                    self.repeats,
                    setting.rows()
                );
                for subject in self.subjects.iter().copied().filter(|one| setting.asks(*one)) {
                    let reached = results.rate(subject, Setting::new(candidates, 8));
                    let rate = OPEN_SHARE * reached.context("no closed loop was measured")?;
                    let measured = self.measure(subject, setting, Some(rate))?;
                    show(subject, &measured);
                    results.add(subject, setting, measured);
                }
            }
        }
        Ok(())
    }

    fn measure(&self, subject: Subject, setting: Setting, rate: Option<f64>) -> Result<Measured> {
        let mut command = if subject == Subject::Limit {
            let mut limit = self.servers.limit();
            limit.args(["--candidates", &setting.rows().to_string()]);
            limit.args(["--sessions", &setting.connections.min(2).to_string()]);
            limit
        } else {
            let mut load = self.servers.load(subject)?;
            load.args(["--candidates", &setting.candidates.to_string()]);
            load.args(["--connections", &setting.connections.to_string()]);
            load.args(["--warm-up", &WARM_UP.to_string()]);
            load
        };
        if let Some(rate) = rate {
            command.args(["--rate", &format!("{rate:.1}")]);
        }
        command.args(["--seconds", &self.seconds.to_string()]);
        Measured::parse(&process::output(&mut command)?)
    }
}

fn show(subject: Subject, measured: &Measured) {
    println!(
        "  {:<24} {:>8.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   CPU {:>6.0} us   client {:>4.0} us{}",
        subject.name(),
        measured.per_second,
        measured.p50_us / 1e3,
        measured.p99_us / 1e3,
        measured.cpu_us,
        measured.client_cpu_us,
        if measured.not_whole > 0.001 {
            format!("   {:.1}% not whole", 100.0 * measured.not_whole)
        } else {
            String::new()
        }
    );
}

#[cfg(test)]
mod tests {
    use super::{Measured, Results, median};
    use crate::bench::subject::{Setting, Subject};

    #[test]
    fn a_ratio_is_the_median_over_rounds() {
        let setting = Setting::new(500, 8);
        let mut results = Results::default();
        for (one, limit) in [(10.0, 20.0), (30.0, 60.0), (20.0, 40.0)] {
            let measured = |per_second| Measured { per_second, ..Measured::default() };
            results.add(Subject::Plugrank, setting, measured(one));
            results.add(Subject::Limit, setting, measured(limit));
        }
        assert_eq!(results.of_limit(Subject::Plugrank, Setting::new(500, 32)), None);
        assert_eq!(results.of_limit(Subject::Plugrank, setting), Some(0.5));
        assert_eq!(median(vec![4.0, 1.0, f64::NAN, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}
