//! The shop's server, as its pages call it.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A served list.
pub(crate) struct Served {
    pub(crate) request_id: String,
    /// Indices of its items, first to last.
    pub(crate) items: Vec<usize>,
    /// The arm by layer.
    pub(crate) arms: HashMap<String, String>,
    /// Whether nothing about it is degraded.
    pub(crate) whole: bool,
}

/// The models of a server.
pub(crate) struct Models {
    pub(crate) active: String,
    /// `active`, `ready`, `loading` or `failed`, by version.
    pub(crate) states: HashMap<String, String>,
}

/// An answer to [`ShopClient::fixed`]: what one model and no mixture of two gives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fixed {
    /// Version of the model that scored.
    pub(crate) model: String,
    /// Whether nothing about it is degraded.
    pub(crate) whole: bool,
    /// Probabilities, first to last.
    pub(crate) ctr: Vec<f64>,
}

/// A server, and who asks it.
#[derive(Clone, Debug, clap::Args)]
pub struct ShopServer {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// API key, where the server asks for one. From the environment it is in no list of processes.
    #[arg(long, value_name = "KEY", env = "PLUGRANK_KEY", hide_env_values = true)]
    pub key: Option<String>,
}

/// A client of a running server.
pub(crate) struct ShopClient {
    agent: Agent,
    url: String,
    authorization: Option<String>,
}

impl ShopClient {
    pub(crate) fn new(server: &ShopServer) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        let url = server.url.trim_end_matches('/').to_owned();
        let authorization = server.key.as_ref().map(|key| format!("Bearer {}", key.trim()));
        Self { agent: config.into(), url, authorization }
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        };
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                let body =
                    request.body(body.to_string()).context("no request can be made of it")?;
                self.agent.run(body)
            }
            None => self.agent.run(request.body(()).context("no request can be made of it")?),
        };
        let answer = sent.with_context(|| format!("no server answers at {}", self.url))?;
        let status = answer.status();
        let text = answer.into_body().read_to_string().context("the answer broke off")?;
        if !status.is_success() {
            bail!("{method} {path} was answered {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// A list for a shopper; `arms` names the arm by experiment, in place of what would be dealt.
    pub(crate) fn rank(
        &self,
        user: usize,
        k: usize,
        arms: Option<(&str, &str)>,
    ) -> anyhow::Result<Served> {
        self.rank_among(user, k, arms, None)
    }

    /// The same of these items alone.
    pub(crate) fn rank_among(
        &self,
        user: usize,
        k: usize,
        arms: Option<(&str, &str)>,
        items: Option<&[String]>,
    ) -> anyhow::Result<Served> {
        let mut body = json!({"user_id": user_id(user), "k": k});
        if let Some((experiment, arm)) = arms {
            body["arms"] = json!({ experiment: arm });
        }
        if let Some(items) = items {
            body["filter"] = json!({"must": [{"field": "item_id", "any": items}]});
        }
        let reply = self.send("POST", "/v1/rank", Some(&body))?;
        let items = reply["items"].as_array().context("a reply without items")?;
        let items: anyhow::Result<Vec<usize>> =
            items.iter().map(|item| item_index(item["item_id"].as_str())).collect();
        let arms = reply["experiments"].as_object().into_iter().flatten();
        Ok(Served {
            request_id: reply["request_id"].as_str().unwrap_or_default().to_owned(),
            items: items?,
            whole: reply["rung"] == "full",
            arms: arms
                .filter_map(|(layer, arm)| Some((layer.clone(), arm.as_str()?.to_owned())))
                .collect(),
        })
    }

    /// What a shopper would think of the same forty items at one moment: a model has one answer.
    pub(crate) fn fixed(&self, user: usize) -> anyhow::Result<Fixed> {
        let candidates: Vec<String> = (1..=40).map(|item| format!("i{item}")).collect();
        let body = json!({
            "user_id": user_id(user),
            "k": 10,
            "candidates": candidates,
            "context": {"timestamp": 1_900_000_000_000_i64},
        });
        let reply = self.send("POST", "/v1/rank", Some(&body))?;
        let items = reply["items"].as_array().context("a reply without items")?;
        Ok(Fixed {
            model: reply["model"].as_str().context("no model scored")?.to_owned(),
            whole: reply["rung"] == "full",
            ctr: items.iter().map(|item| item["ctr"].as_f64().unwrap_or(f64::NAN)).collect(),
        })
    }

    /// Reports a list as seen, with the places that were clicked.
    pub(crate) fn report(
        &self,
        user: usize,
        served: &Served,
        clicked: &[usize],
    ) -> anyhow::Result<()> {
        let event = |kind: &str, place: usize| {
            json!({
                "event_id": format!("{}-{kind}-{place}", served.request_id),
                "type": kind,
                "user_id": user_id(user),
                "item_id": item_id(served.items[place]),
                "request_id": served.request_id,
                "position": place + 1,
            })
        };
        let shown = (0..served.items.len()).map(|place| event("impression", place));
        let clicks = clicked.iter().map(|place| event("click", *place));
        let events: Vec<Value> = shown.chain(clicks).collect();
        self.events(&events)
    }

    /// Reports events.
    pub(crate) fn events(&self, events: &[Value]) -> anyhow::Result<()> {
        let reply = self.send("POST", "/v1/events", Some(&json!({ "events": events })))?;
        let refused = |one: &&Value| one["status"] != "accepted";
        let refused = reply["results"].as_array().and_then(|all| all.iter().find(refused));
        ensure!(refused.is_none(), "an event was not accepted: {refused:?}");
        Ok(())
    }

    /// Changes an item.
    pub(crate) fn change_item(&self, item: usize, body: &Value) -> anyhow::Result<()> {
        self.send("PATCH", &format!("/v1/items/{}", item_id(item)), Some(body)).map(drop)
    }

    /// Writes an item.
    pub(crate) fn put_item(&self, item: usize, body: &Value) -> anyhow::Result<()> {
        self.send("PUT", &format!("/v1/items/{}", item_id(item)), Some(body)).map(drop)
    }

    /// The models there are.
    pub(crate) fn models(&self) -> anyhow::Result<Models> {
        let list = self.send("GET", "/v1/models", None)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let models = list["models"].as_array().into_iter().flatten();
        Ok(Models {
            active: text(&list["active"]),
            states: models.map(|one| (text(&one["version"]), text(&one["state"]))).collect(),
        })
    }

    /// Begins to load a model; its version.
    pub(crate) fn load(&self, folder: &str) -> anyhow::Result<String> {
        let before = self.models()?.states;
        self.send("POST", "/v1/models", Some(&json!({ "name": folder })))?;
        let after = self.models()?.states.into_keys();
        let mut new = after.filter(|version| !before.contains_key(version));
        new.next().with_context(|| format!("no model came of the folder {folder}"))
    }

    /// Has a model answer.
    pub(crate) fn activate(&self, version: &str) -> anyhow::Result<()> {
        self.send("POST", &format!("/v1/models/{version}/activate"), Some(&json!({}))).map(drop)
    }

    /// Removes a model.
    pub(crate) fn remove(&self, version: &str) -> anyhow::Result<()> {
        self.send("DELETE", &format!("/v1/models/{version}"), None).map(drop)
    }

    /// Begins an experiment.
    pub(crate) fn begin(&self, name: &str, definition: &Value) -> anyhow::Result<()> {
        self.send("PUT", &format!("/v1/experiments/{name}"), Some(definition)).map(drop)
    }

    /// Ends one.
    pub(crate) fn end(&self, name: &str) -> anyhow::Result<()> {
        self.send("DELETE", &format!("/v1/experiments/{name}"), None).map(drop)
    }

    /// What it found, once it has counted so many lists.
    pub(crate) fn results(&self, name: &str, lists: usize) -> anyhow::Result<Value> {
        let mut counted = 0.0;
        for _ in 0..120 {
            let results = self.send("GET", &format!("/v1/experiments/{name}/results"), None)?;
            let arms = results["arms"].as_array().into_iter().flatten();
            counted = arms.filter_map(|arm| arm["exposures"].as_f64()).sum();
            if counted >= lists as f64 {
                return Ok(results);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        ensure!(counted > 0.0, "the results of {name} count no list: are exposures logged?");
        bail!("the results of {name} count {counted} of {lists} lists");
    }
}

pub(crate) fn user_id(user: usize) -> String {
    format!("u{}", user + 1)
}

pub(crate) fn item_id(item: usize) -> String {
    format!("i{}", item + 1)
}

fn item_index(id: Option<&str>) -> anyhow::Result<usize> {
    let id = id.context("an item without id")?;
    let number = id.strip_prefix('i').and_then(|number| number.parse::<usize>().ok());
    number
        .and_then(|number| number.checked_sub(1))
        .with_context(|| format!("item {id} is none of the simulated shop"))
}
