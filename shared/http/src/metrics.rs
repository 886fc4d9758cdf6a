//! `/metrics`.

use actix_web::{
    HttpResponse,
    http::header::{Accept, Quality},
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
    params(("accept" = Option<String>, Header, description = "OpenMetrics where it prefers that to text",
        example = "application/openmetrics-text")),
    responses((status = 200, description = "The metrics", content(
        (String = "text/plain"), (String = "application/openmetrics-text")))),
)]
pub async fn scrape(
    metrics: Data<Metrics>,
    accept: Option<web::Header<Accept>>,
) -> Result<HttpResponse, Problem> {
    let open_metrics = accept.is_some_and(|accept| prefers_open_metrics(&accept));
    let (media_type, page) = match open_metrics {
        true => (Metrics::OPEN_METRICS, metrics.encode()),
        false => (Metrics::TEXT, metrics.encode_text()),
    };
    let page = page.map_err(|error| Problem::internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type(media_type).insert_header(("vary", "accept")).body(page))
}

/// Whether a caller names OpenMetrics, and names text with no greater weight.
fn prefers_open_metrics(accept: &Accept) -> bool {
    let weight = |wanted: &str| {
        let named = accept.iter().filter(|one| one.item.essence_str() == wanted);
        named.map(|one| one.quality).max()
    };
    weight("application/openmetrics-text").is_some_and(|open_metrics| {
        open_metrics > Quality::ZERO && Some(open_metrics) >= weight("text/plain")
    })
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::Header, test::TestRequest};

    use super::*;

    #[test]
    fn the_metrics_format_follows_the_accept_header() {
        let prefers = |accept: &str| {
            let request =
                TestRequest::default().insert_header(("accept", accept)).to_http_request();
            prefers_open_metrics(&Accept::parse(&request).unwrap())
        };
        // Prometheus 3, and Prometheus with OpenMetrics turned off.
        assert!(prefers(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        ));
        assert!(!prefers("text/plain;version=0.0.4;q=1,*/*;q=0.1"));
        for text in ["*/*", "text/plain", "application/openmetrics-text;q=0.1, text/plain;q=0.2"] {
            assert!(!prefers(text), "{text}");
        }
        assert!(!prefers("application/openmetrics-text;q=0"));
    }
}
