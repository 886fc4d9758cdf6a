//! The samples of `/metrics`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// The samples of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// Reads the text of a scrape.
    ///
    /// # Errors
    /// When a line is no sample.
    pub fn read(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| {
            sample(line).with_context(|| format!("/metrics has a line that is no sample: {line}"))
        });
        Ok(Self(samples.collect::<Result<_>>()?))
    }

    /// Sum of the samples of a name whose labels include these.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).map(|sample| sample.value).sum()
    }

    /// Sums by the values of a label.
    #[must_use]
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.samples(name, &[]) {
            if let Some(value) = sample.labels.get(label) {
                *sums.entry(value.clone()).or_insert(0.0) += sample.value;
            }
        }
        sums
    }

    /// Upper bounds of a histogram's buckets and how many fell below each, ascending.
    #[must_use]
    pub fn buckets(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.samples(&format!("{name}_bucket"), labels) {
            let bound = sample.labels.get("le").and_then(|le| le.parse::<f64>().ok());
            let Some(bound) = bound else { continue };
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, below)) => *below += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        buckets
    }

    fn samples(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| {
            let has = |(label, value): &(&str, &str)| {
                sample.labels.get(*label).is_some_and(|of| of == value)
            };
            sample.name == name && labels.iter().all(has)
        })
    }
}

/// `name{label="value",...} 1.5`, and what may follow.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let close = closing_quote(after)?;
            labels.insert(label.trim_start_matches(',').to_owned(), after[..close].to_owned());
            rest = &after[close + 1..];
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Where a label's value ends: at the first quote that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_exemplars_and_escapes_are_parsed() {
        let text = "# TYPE a counter\n\
            a_total{x=\"1\",y=\"p\"} 2\n\
            a_total{x=\"2\",y=\"say \\\"}\\\" 7\"} 3\n\
            b_bucket{le=\"0.1\"} 4 # {trace_id=\"ab\"} 0.05 1\n\
            b_bucket{le=\"+Inf\"} 9\n\
            c 1.5e3\n\
            # EOF\n";
        let scrape = Scrape::read(text).unwrap();
        assert_eq!(scrape.sum("a_total", &[]), 5.0);
        assert_eq!(scrape.sum("a_total", &[("y", "p")]), 2.0);
        assert_eq!(scrape.by("a_total", "x").into_values().collect::<Vec<_>>(), [2.0, 3.0]);
        assert_eq!(scrape.buckets("b", &[]), [(0.1, 4.0), (f64::INFINITY, 9.0)]);
        assert_eq!(scrape.sum("c", &[]), 1500.0);
    }

    #[test]
    fn a_page_of_something_else_is_refused() {
        assert!(Scrape::read("<html>hello</html>").is_err());
        assert!(Scrape::read("name{label=\"open").is_err());
    }
}
