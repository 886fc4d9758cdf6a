//! `demo --split`: parts that are killed come back, and what happens to the answers meanwhile is told.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{demo::Server, running::Running};

/// How long a part stays away, so that there is something to see.
const AWAY: Duration = Duration::from_secs(5);
/// Between two looks.
const PERIOD: Duration = Duration::from_millis(250);

/// Until Ctrl-C: asks for `user` all the time, tells when the answers change, and starts what has ended.
pub(crate) fn watch(server: Server, user: &str) -> Result<()> {
    let url = server.url();
    let (parts, _) = server.into_parts();
    let mut parts: Vec<Part> = parts.into_iter().map(Part::new).collect();
    let begun = Instant::now();
    let mut before = String::new();
    loop {
        let now = answer(&url, user);
        if now != before {
            tell(begun, &format!("answers  {now}"));
            before = now;
        }
        for part in &mut parts {
            if let Some(text) = part.look()? {
                tell(begun, &text);
            }
        }
        thread::sleep(PERIOD);
    }
}

fn tell(begun: Instant, text: &str) {
    println!("{:8.1} s  {text}", begun.elapsed().as_secs_f64());
}

/// What a ranking comes to: its rung and why, or why there is none.
fn answer(url: &str, user: &str) -> String {
    let asked = ureq::post(format!("{url}/v1/rank"))
        .config()
        .timeout_global(Some(Duration::from_secs(2)))
        .http_status_as_error(false)
        .build()
        .send_json(json!({"user_id": user, "k": 5}));
    let reply: Option<Value> = match asked {
        Err(error) => return format!("none: {error}"),
        Ok(mut answer) => answer.body_mut().read_json().ok(),
    };
    told(&reply.unwrap_or_default())
}

fn told(reply: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let Some(items) = reply["items"].as_array() else {
        return format!("refused: {}", text(&reply["detail"]));
    };
    let mut causes: Vec<String> = reply["degraded"].as_array().map_or_else(Vec::new, |all| {
        all.iter().map(|one| format!("{} {}", text(&one["stage"]), text(&one["cause"]))).collect()
    });
    causes.dedup();
    let why = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
    format!("{} items, rung {}{why}", items.len(), text(&reply["rung"]))
}

/// A process, and since when it is away.
struct Part {
    process: Running,
    away: Option<Instant>,
}

impl Part {
    fn new(process: Running) -> Self {
        Self { process, away: None }
    }

    /// What is new of it: that it ended, that it was started again.
    fn look(&mut self) -> Result<Option<String>> {
        let name = self.process.name;
        match (self.process.ended()?, self.away) {
            (None, _) => Ok(None),
            (Some(status), None) => {
                self.away = Some(Instant::now());
                let back = AWAY.as_secs();
                Ok(Some(format!("{name} ended ({status}); it comes back in {back} s")))
            }
            (Some(_), Some(since)) if since.elapsed() >= AWAY => {
                self.process.again()?;
                self.away = None;
                Ok(Some(format!("{name} is started again, process {}", self.process.pid())))
            }
            (Some(_), Some(_)) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_answer_is_summarised_in_one_line() {
        let full = json!({"items": [1, 2], "rung": "full", "degraded": []});
        assert_eq!(told(&full), "2 items, rung full");
        let low = json!({"items": [1], "rung": "retrieval_order",
            "degraded": [{"stage": "scoring", "cause": "failed"}, {"stage": "scoring", "cause": "failed"}]});
        assert_eq!(told(&low), "1 items, rung retrieval_order (scoring failed)");
        assert_eq!(told(&json!({"detail": "no"})), "refused: no");
    }

    #[test]
    fn processes_that_end_are_restarted() {
        let folder = std::env::temp_dir().join(format!("plugrank-faults-{}", std::process::id()));
        let process = Running::start("true", &Command::new("true"), &folder).unwrap();
        let mut part = Part::new(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut said = Vec::new();
        while said.len() < 2 {
            said.extend(part.look().unwrap());
            // It was away long enough.
            part.away = part.away.map(|since| since.checked_sub(AWAY).unwrap_or(since));
            assert!(Instant::now() < deadline, "{said:?}");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(said[0].starts_with("true ended"), "{said:?}");
        assert!(said[1].starts_with("true is started again"), "{said:?}");
        let _ = std::fs::remove_file(&folder);
    }
}
