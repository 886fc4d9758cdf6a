//! Metrics in Prometheus' text format 0.0.4, out of OpenMetrics 1.0.
//!
//! The older format names a family as its samples are named, has gauges for information, and has neither
//! units, exemplars nor an end.

/// The page in the older format.
pub(super) fn from_open_metrics(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, words)) = help.take().filter(|(of, _)| *of == name) {
                text.extend(["# HELP ", name, ending, " ", words, "\n"]);
            }
            text.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([without_exemplar(line), "\n"]);
        }
    }
    text
}

/// A sample without what follows its value.
fn without_exemplar(sample: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    // A label's value may hold any character.
    let end_of_labels = sample.find(|character| {
        let ends = character == '}' && !quoted;
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    });
    let from = end_of_labels.unwrap_or(0);
    let exemplar = sample[from..].find(" # ");
    exemplar.map_or(sample, |at| &sample[..from + at])
}

#[cfg(test)]
mod tests {
    use super::from_open_metrics;

    #[test]
    fn families_are_named_as_their_samples_and_exemplars_are_left_out() {
        let open_metrics = "\
# HELP plugrank_build What it was built from.
# TYPE plugrank_build info
plugrank_build_info{version=\"1\"} 1
# HELP plugrank_calls Calls.
# TYPE plugrank_calls counter
plugrank_calls_total{name=\"a } # \\\" b\"} 3 # {trace_id=\"f\"} 1.0 5.0
# HELP plugrank_seconds Times.
# TYPE plugrank_seconds histogram
# UNIT plugrank_seconds seconds
plugrank_seconds_bucket{le=\"+Inf\"} 2 # {trace_id=\"0f\"} 0.5 17.5
plugrank_seconds_count 2
# TYPE plugrank_rung gauge
plugrank_rung 1
# EOF
";
        let expected = "\
# HELP plugrank_build_info What it was built from.
# TYPE plugrank_build_info gauge
plugrank_build_info{version=\"1\"} 1
# HELP plugrank_calls_total Calls.
# TYPE plugrank_calls_total counter
plugrank_calls_total{name=\"a } # \\\" b\"} 3
# HELP plugrank_seconds Times.
# TYPE plugrank_seconds histogram
plugrank_seconds_bucket{le=\"+Inf\"} 2
plugrank_seconds_count 2
# TYPE plugrank_rung gauge
plugrank_rung 1
";
        assert_eq!(from_open_metrics(open_metrics), expected);
    }
}
