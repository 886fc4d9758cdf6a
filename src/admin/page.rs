//! Recent requests as a page: each a line that opens to its waterfall.

use maud::{DOCTYPE, Markup, html};
use plugrank_tail_sampling::{RequestTrace, TraceSpan};

const STYLE: &str = "
:root{color-scheme:light dark;--bg:light-dark(#fff,#0d1117);--text:light-dark(#1b1f24,#e6edf3);
--soft:light-dark(#57606a,#a2acb8);--line:light-dark(#d8dee4,#30363d);--link:light-dark(#0550ae,#79b8ff);
--bad:light-dark(#b3261e,#ff9a91);--took:light-dark(#218bff,#388bfd);--failed:#cf222e;--cut:#b08800}
body{font:14px/1.5 system-ui,sans-serif;margin:0;color:var(--text);background:var(--bg)}
main{padding:1rem 1.5rem;max-width:100rem;margin:0 auto}
h1{font-size:1.2rem}h2{font-size:1rem;margin-top:2rem}
a{color:var(--link)}
summary{cursor:pointer;padding:.35rem 0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
:is(a,summary,.scroll):focus-visible{outline:2px solid var(--link);outline-offset:2px}
code{font:12px ui-monospace,monospace;color:var(--soft)}
.scroll{overflow-x:auto;margin:.5rem 0 1.5rem}
table{border-collapse:collapse;width:100%;min-width:60rem}
th,td{text-align:left;padding:.15rem .5rem;border-bottom:1px solid var(--line);font-size:12px;vertical-align:top}
tbody th{font-weight:400}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.t{width:38%;position:relative}
.bar{position:absolute;top:.3rem;height:.8rem;background:var(--took);min-width:2px;border-radius:2px}
.bad{background:var(--failed)}.cut{background:var(--cut)}
.tag{padding:0 .4rem;border-radius:.6rem;background:#eaeef2;color:#1b1f24}
.tag.error{background:#ffcecb}.tag.over_budget{background:#ffdfb6}.tag.degraded{background:#fff1a8}
.why{color:var(--bad)}.more{color:var(--soft)}
";

/// The page.
pub(super) fn render(slowest: &[RequestTrace], noted: &[RequestTrace]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Plugrank: recent requests" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Recent requests of this process" }
                    p { a href="/debug/requests.json" { "the same as JSON" } }
                    (list("Degraded, over budget or in error, latest first", noted))
                    (list("Slowest", slowest))
                }
            }
        }
    };
    page.into_string()
}

fn list(title: &str, requests: &[RequestTrace]) -> Markup {
    html! {
        h2 { (title) " (" (requests.len()) ")" }
        @if requests.is_empty() { p.more { "none" } }
        @for request in requests { (line(request)) }
    }
}

fn line(request: &RequestTrace) -> Markup {
    html! {
        details {
            summary {
                (utc(request.started_unix_ms)) " "
                b { (request.name) } " "
                (ms(request.duration_ms))
                @if let Some(budget) = request.budget_ms { " of " (ms(budget)) }
                " ms "
                @if let Some(cause) = request.cause { span class={ "tag " (cause) } { (cause) } " " }
                code { (request.trace_id) }
                @if !request.exported { span.more { " not exported" } }
            }
            (waterfall(request))
        }
    }
}

fn waterfall(request: &RequestTrace) -> Markup {
    let rows = request.waterfall();
    let ends = rows.iter().map(|(_, span)| span.start_ms + span.duration_ms);
    let whole = ends.fold(request.duration_ms, f64::max).max(0.001);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Spans of " (request.trace_id) } {
            table {
                thead {
                    tr {
                        th { "span" } th { "when" } th.n { "start" } th.n { "took" } th.n { "allotted" }
                        th.n { "spent" } th { "outcome" } th { "rung" } th { "details" }
                    }
                }
                tbody { @for (depth, span) in rows { (row(depth, span, whole)) } }
            }
        }
    }
}

fn row(depth: usize, span: &TraceSpan, whole: f64) -> Markup {
    let percent = |ms: f64| (100.0 * ms / whole).clamp(0.0, 100.0);
    let (left, width) = (percent(span.start_ms), percent(span.duration_ms));
    let colour = match (&span.error, span.outcome.as_deref()) {
        (_, Some("cut")) => "bar cut",
        (Some(_), _) => "bar bad",
        _ => "bar",
    };
    html! {
        tr {
            th scope="row" style={ "padding-left:" (depth) "rem" } { (span.name) }
            td.t {
                div class=(colour)
                    style={ "left:" (format!("{left:.2}")) "%;width:" (format!("{width:.2}")) "%" } {}
            }
            td.n { (ms(span.start_ms)) }
            td.n { (ms(span.duration_ms)) }
            td.n { @if let Some(allotted) = span.allotted_ms { (ms(allotted)) } }
            td.n { @if let Some(spent) = span.spent_ms { (ms(spent)) } }
            td { @if let Some(outcome) = &span.outcome { (outcome) } }
            td { @if let Some(rung) = &span.rung { (rung) } }
            td {
                @if let Some(error) = &span.error { span.why { "error " (error) " " } }
                span.more {
                    (span.kind)
                    @for (key, value) in &span.attributes { " " (key) "=" (value.to_string()) }
                }
            }
        }
    }
}

fn ms(ms: f64) -> String {
    format!("{ms:.2}")
}

/// Time of day, UTC, of milliseconds since 1970.
fn utc(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000 % 86_400, unix_ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
