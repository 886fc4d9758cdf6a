//! What each arm is truly worth by day, on all items and on new ones.

use std::fmt::Write as _;

use super::days::{Arm, Day};

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 64.0;
const COLOURS: [&str; 3] = ["#9aa5b1", "#d08c4a", "#2f6fb5"];

/// A line of a panel, and what it is called.
struct Line<'a> {
    name: &'a str,
    colour: &'static str,
    dashed: bool,
    values: Vec<f64>,
}

/// Two panels side by side, as SVG.
pub(super) fn svg(days: &[Day]) -> String {
    let arms = days.first().map_or(&[][..], |day| &day.arms);
    let of_arms = |value: fn(&Arm) -> f64| -> Vec<Line<'_>> {
        let line = |at: usize| Line {
            name: &arms[at].arm,
            colour: COLOURS[at % COLOURS.len()],
            dashed: false,
            values: days.iter().filter_map(|day| day.arms.get(at)).map(value).collect(),
        };
        (0..arms.len()).map(line).collect()
    };
    let mut fresh = of_arms(|arm| arm.fresh);
    let bound = |name, value: fn(&Day) -> f64| Line {
        name,
        colour: "#555555",
        dashed: true,
        values: days.iter().map(value).collect(),
    };
    fresh.push(bound("best there is", |day| day.fresh_best));
    fresh.push(bound("any order", |day| day.fresh_any));
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" font-size="12">
<title>Clicks that a list of ten truly gets, by simulated day</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{LEFT}" y="20" font-size="14">Clicks that a list of ten truly gets, by simulated day</text>
"##,
        2.0 * WIDTH,
        TOP + HEIGHT + 40.0
    );
    panel(&mut out, 0.0, "all items", &of_arms(|arm| arm.all));
    panel(&mut out, WIDTH, "items that arrived since day 1 alone", &fresh);
    out + "</svg>\n"
}

fn panel(out: &mut String, shift: f64, title: &str, lines: &[Line<'_>]) {
    let (left, right, bottom) = (shift + LEFT, shift + WIDTH - 92.0, TOP + HEIGHT);
    let all = || lines.iter().flat_map(|line| &line.values).copied();
    let least = (all().fold(f64::INFINITY, f64::min) * 10.0).floor() / 10.0;
    let most = (all().fold(f64::NEG_INFINITY, f64::max) * 10.0).ceil() / 10.0;
    if most <= least {
        return;
    }
    let days = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    let x = |day: usize| left + (right - left) * day as f64 / days.saturating_sub(1).max(1) as f64;
    let y = |value: f64| bottom - HEIGHT * (value - least) / (most - least);
    text(out, (left, TOP - 16.0), "start", "#333333", title);
    for step in 0..=4 {
        let value = least + (most - least) * f64::from(step) / 4.0;
        let _ = writeln!(
            out,
            r##"<path d="M{left:.1} {:.1}H{right:.1}" stroke="#dddddd"/>"##,
            y(value)
        );
        text(out, (left - 6.0, y(value) + 4.0), "end", "#333333", &format!("{value:.2}"));
    }
    for day in 0..days {
        text(out, (x(day), bottom + 18.0), "middle", "#333333", &(day + 1).to_string());
    }
    // Names stand where their lines end, and not on one another.
    let mut names: Vec<(f64, &Line<'_>)> =
        lines.iter().filter_map(|line| Some((y(*line.values.last()?), line))).collect();
    names.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut above = f64::NEG_INFINITY;
    for (height, line) in names {
        let points: Vec<String> = line
            .values
            .iter()
            .enumerate()
            .map(|(day, value)| format!("{:.1},{:.1}", x(day), y(*value)))
            .collect();
        let dash = if line.dashed { r#" stroke-dasharray="4 3""# } else { "" };
        let _ = writeln!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2"{dash}/>"#,
            points.join(" "),
            line.colour
        );
        let height = height.max(above + 13.0);
        above = height;
        text(out, (right + 6.0, height + 4.0), "start", line.colour, line.name);
    }
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, what: &str) {
    let _ = writeln!(
        out,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{what}</text>"#
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_plot_has_a_line_per_arm_and_bounds_for_new_items() {
        let day = |number: usize| {
            let arm = |arm: &str, all: f64| json!({"arm": arm, "all": all, "of_fresh": 0.1, "fresh": all / 2.0});
            json!({
                "number": number, "arrived": 30 * number, "lists": 10, "clicks": 20,
                "arms": [arm("popularity", 2.0), arm("ppm", 2.5 + number as f64)],
                "fresh_best": 4.0, "fresh_any": 0.75, "found": [],
            })
        };
        let days: Vec<Day> = serde_json::from_value(json!([day(1), day(2), day(3)])).unwrap();
        let drawn = svg(&days);
        assert_eq!(drawn.matches("<polyline").count(), 2 + 4, "{drawn}");
        assert_eq!(drawn.matches("stroke-dasharray").count(), 2);
        for name in ["popularity", "ppm", "best there is", "any order"] {
            assert!(drawn.contains(&format!(">{name}</text>")), "{name}");
        }
        assert!(!svg(&[]).contains("polyline"), "nothing to draw");
    }
}
