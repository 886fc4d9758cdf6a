//! `/v1/experiments`.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use plugrank_contract::TimestampMs;
use plugrank_experiments::Experiment;
use serde_json::json;

use crate::{
    Gateway, ServerOptions,
    api::experiments::{ExperimentList, ExperimentSchema, ExperimentView},
    body::{BodyLimit, JsonBody},
    endpoint::{Endpoint, get_or_head},
    experiments::{
        Asked, ResultsError, Running, TallyError, WriteError, check_surfaces, put_experiment,
    },
    problem::{FieldError, Problem, ProblemDocument},
    validate,
};

/// When to ask again for results that are being counted.
const COUNTING: Duration = Duration::from_secs(5);

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
    let get_all = web::route().guard(get_or_head()).to(list);
    config.service(Endpoint::Experiments.resource().route(get_all));
    let get_results = web::route().guard(get_or_head()).to(results);
    config.service(Endpoint::ExperimentResults.resource().route(get_results));
    let experiment =
        Endpoint::Experiment.resource().app_data(BodyLimit::new(settings.max_body_bytes, settings));
    config.service(
        experiment
            .route(web::route().guard(get_or_head()).to(get))
            .route(web::put().to(put))
            .route(web::delete().to(delete)),
    );
}

/// See the experiments
#[utoipa::path(
    get,
    path = "/v1/experiments",
    tag = "experiments",
    operation_id = "listExperiments",
    responses((status = 200, body = ExperimentList, description = "Layers and experiments in force here")),
)]
pub(crate) async fn list(gateway: Data<Gateway>) -> HttpResponse {
    let running = gateway.experiments.running();
    let definitions = running.definitions();
    let layers = definitions.layers.iter().map(|layer| json!(layer)).collect();
    let experiments = definitions.experiments.iter().map(ExperimentView::new).collect();
    HttpResponse::Ok().json(ExperimentList { revision: running.revision, layers, experiments })
}

/// See an experiment
#[utoipa::path(
    get,
    path = "/v1/experiments/{name}",
    tag = "experiments",
    operation_id = "getExperiment",
    params(("name" = String, Path, description = "Its name", example = "ppm")),
    responses(
        (status = 200, body = ExperimentView, description = "Its definition, and the share of units each arm gets now"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such experiment"),
    ),
)]
pub(crate) async fn get(
    gateway: Data<Gateway>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    view(&gateway.experiments.running(), &name)
}

/// Write an experiment
///
/// Begins one, or changes one that runs: its ramp, new arms at the end, `stopped` arms. What would move
/// users from one arm to another is refused. In force here when the answer comes, in other gateways of the
/// store within `experiments.follow_ms`. A layer that does not exist yet is made, by user.
#[utoipa::path(
    put,
    path = "/v1/experiments/{name}",
    tag = "experiments",
    operation_id = "putExperiment",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9._-]{1,64}$", description = "Its name", example = "ppm")),
    request_body(content = ExperimentSchema, description = "The definition (docs/experiments.md)", examples(
        ("PPM against the ID-based model" = (value = json!({
            "layer": "ranking", "control": "idrec",
            "arms": [
                {"name": "idrec", "permille": 500, "settings": {"rung": "idrec"}},
                {"name": "ppm", "permille": 500}
            ]
        }))),
    )),
    responses(
        (status = 200, body = ExperimentView, description = "The experiment is in force"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong; nothing was written"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Users would move from one arm to another, or others wrote at the same time"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn put(
    gateway: Data<Gateway>,
    name: Path<String>,
    JsonBody(mut experiment): JsonBody<Experiment>,
) -> Result<HttpResponse, Problem> {
    let name = name.into_inner();
    if !experiment.name.is_empty() && experiment.name != name {
        let detail =
            format!("is {:?}; leave it out, or send {name:?} as in the path", experiment.name);
        return Err(Problem::invalid_field("name", detail));
    }
    experiment.name.clone_from(&name);
    let unknown = check_surfaces(&experiment, &gateway.surfaces);
    if !unknown.is_empty() {
        return Err(Problem::invalid(unknown));
    }
    let written = gateway.experiments.write(&gateway.store, by_request(), |definitions| {
        put_experiment(definitions, experiment.clone());
        Ok(())
    });
    written.await.map_err(|error| problem(error, &name))?;
    view(&gateway.experiments.running(), &name)
}

/// See what came of an experiment
///
/// Counted by user (or request, by its layer) since its shares changed last. The sample ratio comes first: if
/// the arms do not have the units they should have, `hidden` says so and no lift is shown. Then, by metric, the
/// lift with its interval and p at one look and at every look, less what users did before (`cuped`), power
/// and the time still needed; the guardrails' verdicts in any case. `calibration` has what each arm predicted against
/// what users did. `over_time` has the lifts with their intervals as they were at earlier moments.
#[utoipa::path(
    get,
    path = "/v1/experiments/{name}/results",
    tag = "experiments",
    operation_id = "getExperimentResults",
    params(("name" = String, Path, description = "Its name", example = "ppm")),
    responses(
        (status = 200, body = Object, description = "The results so far (docs/experiments.md)", example = json!({
            "experiment": "ppm", "from": 1_790_000_000_000_i64, "to": 1_790_600_000_000_i64, "days": 6.9,
            "arms": [
                {"name": "idrec", "units": 4031, "exposures": 20155.0, "outcomes": [{"task": "click", "sum": 41020.0}]},
                {"name": "ppm", "units": 3969, "exposures": 19845.0, "outcomes": [{"task": "click", "sum": 43310.0}]}
            ],
            "control": "idrec",
            "sample_ratio": {"units": [4031, 3969], "expected": [4000.0, 4000.0], "p": 0.49, "always_valid_p": 1.0},
            "crossed": 0, "hidden": null, "metrics": [], "guardrails": [], "history": [],
            "calibration": [{"arm": "ppm", "task": "main", "items": 8120, "predicted": 1701.4, "observed": 1688.0, "ratio": 0.992}],
            "over_time": [{"at": 1_790_600_000_000_i64, "units": 8000, "lifts": [
                {"metric": "click/exposure", "arm": "ppm", "lift": 0.072, "interval": {"low": 0.021, "high": 0.123}}]}]
        })),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such experiment"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "All of its arms but the control are stopped, or it has too many units to be counted here"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The log is still being counted, which goes on where it was; or the store cannot be reached"),
    ),
)]
pub(crate) async fn results(
    gateway: Data<Gateway>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (running, now) = (gateway.experiments.running(), validate::now_ms());
    let Gateway { tallies, store, .. } = &**gateway;
    let asked = Asked { name: &name, now, over_time: true };
    let found = tallies.results(&running, store, &gateway.tasks, asked).await;
    found.map(|found| HttpResponse::Ok().json(found)).map_err(|error| match error {
        ResultsError::Unknown => unknown(&name),
        ResultsError::OneArm | ResultsError::Tally(TallyError::TooManyUnits) => {
            Problem::conflict(error.to_string())
        }
        ResultsError::Counting => Problem::unavailable(error.to_string()).retry_after(COUNTING),
        ResultsError::Tally(TallyError::Store(error)) => error.into(),
    })
}

/// End an experiment
///
/// Its users get what everybody gets. A layer stays, so that experiments to come deal its users as before.
#[utoipa::path(
    delete,
    path = "/v1/experiments/{name}",
    tag = "experiments",
    operation_id = "deleteExperiment",
    params(("name" = String, Path, description = "Its name", example = "ppm")),
    responses(
        (status = 204, description = "There is no such experiment any more"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such experiment"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Others wrote at the same time"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn delete(
    gateway: Data<Gateway>,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let written = gateway.experiments.write(&gateway.store, by_request(), |definitions| {
        let before = definitions.experiments.len();
        definitions.experiments.retain(|experiment| experiment.name != **name);
        if definitions.experiments.len() < before { Ok(()) } else { Err(WriteError::Unknown) }
    });
    written.await.map_err(|error| problem(error, &name))?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(running: &Running, name: &str) -> Result<HttpResponse, Problem> {
    let experiment = running.definitions().experiment(name);
    let experiment = experiment.ok_or_else(|| unknown(name))?;
    Ok(HttpResponse::Ok().json(ExperimentView::new(experiment)))
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("there is no experiment {name:?}"))
}

fn problem(error: WriteError, name: &str) -> Problem {
    match error {
        WriteError::Invalid(errors) => Problem::invalid(errors.into_iter().map(in_body).collect()),
        WriteError::Moves(problems) => Problem::conflict(problems.to_string()),
        WriteError::Unknown => unknown(name),
        WriteError::Busy => {
            Problem::conflict("others wrote experiments at the same time; send it again")
        }
        WriteError::Unreadable(detail) => Problem::internal(detail),
        WriteError::Store(error) => error.into(),
    }
}

/// An error with its field as the body has it, which is one experiment of all.
fn in_body(error: FieldError) -> FieldError {
    let inner = error.field.strip_prefix("experiments[").and_then(|rest| rest.split_once("]."));
    match inner {
        Some((_, field)) => FieldError { field: field.to_owned(), ..error },
        None => error,
    }
}

/// The moment and the cause of a change that a caller asks for.
fn by_request() -> (TimestampMs, &'static str) {
    (validate::now_ms(), "request")
}
