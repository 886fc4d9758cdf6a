//! The plot: requests per second of each server as a share of what the graph allows.

use std::fmt::Write as _;

use super::{
    measure::Results,
    subject::{Setting, Subject},
};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 58.0;
const HEIGHT: f64 = 240.0;
/// Settings shown, side by side.
const GROUPS: [Setting; 5] = [
    Setting::new(500, 1),
    Setting::new(500, 8),
    Setting::new(200, 8),
    Setting::new(50, 8),
    Setting::new(50, 32),
];
const SUBJECTS: [(Subject, &str); 4] = [
    (Subject::FastApi, "#9aa5b1"),
    (Subject::Scoring, "#c9b458"),
    (Subject::Mmr, "#d08c4a"),
    (Subject::Plugrank, "#2f6fb5"),
];

/// The plot as SVG.
pub(crate) fn svg(results: &Results) -> String {
    let mut out = String::new();
    let bottom = TOP + HEIGHT;
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {}" font-family="sans-serif" font-size="12">
<title>Requests per second as a share of what the graph alone allows</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{LEFT}" y="20" font-size="14">Requests per second, as a share of what the graph alone allows</text>"##,
        bottom + 46.0
    );
    for (place, (subject, colour)) in SUBJECTS.into_iter().enumerate() {
        let x = LEFT + 170.0 * place as f64;
        rectangle(&mut out, (x, 32.0), (12.0, 12.0), colour);
        label(&mut out, (x + 18.0, 42.0), "start", subject.name());
    }
    for tenths in (0..=10).step_by(2) {
        let share = f64::from(tenths) / 10.0;
        let y = bottom - HEIGHT * share;
        let right = WIDTH - 10.0;
        let _ = writeln!(out, r##"<path d="M{LEFT} {y:.1}H{right}" stroke="#dddddd"/>"##);
        label(&mut out, (LEFT - 8.0, y + 4.0), "end", &format!("{share:.1}"));
    }
    let group = (WIDTH - 10.0 - LEFT) / GROUPS.len() as f64;
    let bar = group / (SUBJECTS.len() as f64 + 1.0);
    for (place, setting) in GROUPS.into_iter().enumerate() {
        let left = LEFT + group * place as f64;
        for (at, (subject, colour)) in SUBJECTS.into_iter().enumerate() {
            let Some(share) = results.of_limit(subject, setting) else { continue };
            let height = HEIGHT * share.clamp(0.0, 1.0);
            let x = left + bar * (at as f64 + 0.5);
            rectangle(&mut out, (x, bottom - height), (bar - 2.0, height), colour);
            let middle = (x + bar / 2.0 - 1.0, bottom - height - 4.0);
            label(&mut out, middle, "middle", &format!("{share:.2}"));
        }
        let middle = left + group / 2.0;
        label(
            &mut out,
            (middle, bottom + 18.0),
            "middle",
            &format!("{} candidates", setting.rows()),
        );
        let plural = if setting.connections == 1 { "" } else { "s" };
        let text = format!("{} connection{plural}", setting.connections);
        label(&mut out, (middle, bottom + 34.0), "middle", &text);
    }
    out + "</svg>\n"
}

fn rectangle(out: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
    let _ = writeln!(
        out,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
    );
}

fn label(out: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        out,
        r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#333333">{text}</text>"##
    );
}
