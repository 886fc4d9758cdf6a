//! The tables.

use std::{fmt::Write as _, path::Path};

use super::{
    baseline,
    cpu::CpuByLibrary,
    goals,
    measure::{Measured, Results},
    subject::{Setting, Subject},
};

/// Everything that was measured, as Markdown.
pub(crate) fn markdown(
    bundle: &Path,
    results: &Results,
    cpu: &[(Subject, CpuByLibrary)],
) -> String {
    let mut text = String::new();
    let hash = baseline::manifest_sha256(bundle).unwrap_or_default();
    let hash = hash.get(..12).unwrap_or("unknown");
    let _ = writeln!(
        text,
        "`cargo xtask bench` on {} (SHA-256 of its manifest {hash}...), all servers and \
         the load generator on {} cores, k = {}. Columns: candidates, connections of a closed loop.\n",
        super::short(bundle),
        std::thread::available_parallelism().map_or(1, usize::from),
        20
    );
    let settings = Setting::closed();
    let cell = |subject: Subject, setting: Setting, of: &dyn Fn(&Measured) -> String| {
        // The graph knows two sessions, not connections.
        let at = if subject == Subject::Limit { setting.of_limit() } else { setting };
        results.median_of(subject, at).map_or("".to_owned(), |measured| of(&measured))
    };
    let _ = writeln!(text, "Requests per second, and the share of the limit:\n");
    table(&mut text, results, &settings, &|subject, setting| {
        let rate = cell(subject, setting, &|measured| thousands(measured.per_second));
        match results.of_limit(subject, setting) {
            Some(share) if subject != Subject::Limit => format!("{rate} ({share:.2})"),
            _ => rate,
        }
    });
    let _ = writeln!(text, "Latency p50 / p99, milliseconds:\n");
    table(&mut text, results, &settings, &|subject, setting| {
        cell(subject, setting, &|measured| {
            format!("{} / {}", short(measured.p50_us / 1e3), short(measured.p99_us / 1e3))
        })
    });
    let _ = writeln!(text, "CPU time of the server, microseconds a request:\n");
    table(&mut text, results, &settings, &|subject, setting| {
        cell(subject, setting, &|measured| format!("{:.0}", measured.cpu_us))
    });
    let _ = writeln!(
        text,
        "Open loop at 70% of what the closed loop of eight connections reached, requests at random times, \
         latency from when a request was due; requests per second, p50 / p99 in milliseconds:\n"
    );
    open(&mut text, results);
    by_library(&mut text, cpu);
    notes(&mut text, results);
    let _ = writeln!(text, "| goal | wanted | measured | reached |\n| --- | --- | --- | --- |");
    for goal in goals::all(results) {
        let measured = goal.measured.map_or("not measured".to_owned(), short);
        let reached = if goal.reached { "yes" } else { "no" };
        let _ = writeln!(text, "| {} | {} | {measured} | {reached} |", goal.what, goal.wanted);
    }
    text
}

fn table(
    text: &mut String,
    results: &Results,
    settings: &[Setting],
    cell: &dyn Fn(Subject, Setting) -> String,
) {
    let headings: Vec<String> = settings.iter().map(|setting| setting.heading()).collect();
    let _ = writeln!(text, "| server | {} |", headings.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(settings.len() + 1));
    for subject in results.subjects() {
        let cells: Vec<String> = settings.iter().map(|setting| cell(subject, *setting)).collect();
        let _ = writeln!(text, "| {} | {} |", subject.name(), cells.join(" | "));
    }
    text.push('\n');
}

fn open(text: &mut String, results: &Results) {
    let settings = [Setting::open(500), Setting::open(Setting::RETRIEVED)];
    let _ = writeln!(text, "| server | 500 candidates | 300 retrieved |\n| --- | --- | --- |");
    for subject in results.subjects().into_iter().filter(|one| *one != Subject::Limit) {
        let cells = settings.map(|setting| {
            results.median_of(subject, setting).map_or("".to_owned(), |measured| {
                let (p50, p99) = (short(measured.p50_us / 1e3), short(measured.p99_us / 1e3));
                format!("{}: {p50} / {p99}", thousands(measured.per_second))
            })
        });
        let _ = writeln!(text, "| {} | {} |", subject.name(), cells.join(" | "));
    }
    text.push('\n');
}

fn by_library(text: &mut String, cpu: &[(Subject, CpuByLibrary)]) {
    if cpu.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "Where it goes at 500 candidates and eight connections (`perf`, cpu-clock), microseconds a request:\n"
    );
    let _ = writeln!(
        text,
        "| server | ONNX Runtime | the server's own code | libc | kernel | all |\n| --- | --- | --- | --- | --- | --- |"
    );
    for (subject, of) in cpu {
        let all = of.graph + of.own + of.libc + of.kernel;
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {all:.0} |",
            subject.name(),
            of.graph,
            of.own,
            of.libc,
            of.kernel
        );
    }
    text.push('\n');
}

/// What the tables do not show.
fn notes(text: &mut String, results: &Results) {
    let client = results.median(Subject::Mmr, Setting::new(500, 8), |one| one.client_cpu_us);
    if let Some(client_us) = client {
        let _ = writeln!(
            text,
            "The load generator takes {client_us:.0} us of CPU a request of 500 candidates. Only whole \
             answers count: not degraded, refused or failed."
        );
    }
    for (subject, setting, share) in results.not_whole() {
        let how = if setting.open { "open loop" } else { "closed loop" };
        let _ = writeln!(
            text,
            "{}, {} ({how}): {:.1}% of the answers were not whole.",
            subject.name(),
            setting.heading(),
            100.0 * share
        );
    }
    text.push('\n');
}

/// A number with commas.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::{short, thousands};

    #[test]
    fn numbers_are_rounded_with_thousands_separators() {
        assert_eq!(
            [thousands(27_400.2), thousands(999.6), thousands(12.0)],
            ["27,400", "1,000", "12"]
        );
        assert_eq!([short(0.304), short(12.34), short(1204.4)], ["0.30", "12.3", "1204"]);
    }
}
