//! `/metrics`.

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use plugrank_runtime::Metrics;

use crate::{get_or_head, problem::Problem, resource};

/// Path of the metrics.
pub const METRICS: &str = "/metrics";

pub(crate) fn configure(config: &mut ServiceConfig, metrics: &Metrics) {
    let scrape = web::route().guard(get_or_head()).to(scrape);
    config
        .service(resource(METRICS, "GET, HEAD").app_data(Data::new(metrics.clone())).route(scrape));
}

/// Metrics for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    operation_id = "metrics",
    responses((status = 200, body = String, content_type = "application/openmetrics-text", description = "OpenMetrics text")),
)]
pub async fn scrape(metrics: Data<Metrics>) -> Result<HttpResponse, Problem> {
    let page = metrics.encode().map_err(|error| Problem::internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type(Metrics::MEDIA_TYPE).body(page))
}
