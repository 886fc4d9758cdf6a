//! The OpenAPI document, generated from the routes.

use plugrank_http::{health, metrics};
use utoipa::OpenApi;

use crate::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Plugrank",
        description = "Ranks items for a user within a latency budget. Every error is a problem \
                       document (RFC 9457) that names the field.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        routes::rank::rank,
        routes::rank_batch::rank_batch,
        routes::similar::similar,
        routes::events::append,
        routes::items::get,
        routes::items::put,
        routes::items::patch,
        routes::item_bulk::write,
        routes::items::delete,
        routes::items::image,
        routes::users::get,
        routes::users::put,
        routes::users::patch,
        routes::users::delete,
        routes::models::list,
        routes::models::load,
        routes::models::activate,
        routes::models::remove,
        routes::experiments::list,
        routes::experiments::get,
        routes::experiments::results,
        routes::experiments::put,
        routes::experiments::delete,
        routes::export::export,
        routes::backup::backup,
        health::live,
        health::ready,
        metrics::scrape,
        routes::docs::openapi_document,
        routes::docs::docs,
        routes::docs::docs_file,
        routes::playground::page,
        routes::playground::shoppers,
        routes::playground::file,
    ),
    tags(
        (name = "ranking", description = "Ranked items"),
        (name = "behaviour", description = "What users saw and did"),
        (name = "catalog", description = "Items"),
        (name = "experiments", description = "Experiments"),
        (name = "models", description = "Models side by side"),
        (name = "operation", description = "For those who run it"),
    ),
)]
struct Document;

/// The OpenAPI document of the API, as a server without authentication has it.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::document;
    use crate::endpoint::Endpoint;

    /// Path to methods, HEAD left out: OpenAPI readers take it as given with GET.
    type Routes = BTreeMap<String, BTreeSet<String>>;

    fn documented(document: &Value) -> Routes {
        let paths = document["paths"].as_object().unwrap();
        let methods = |item: &Value| {
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect()
        };
        paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
    }

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let served = Endpoint::ALL.into_iter().map(|endpoint| {
            let methods = endpoint.allow().split(", ").filter(|method| *method != "HEAD");
            let path = endpoint.path().replace(":.*", "");
            (path, methods.map(ToOwned::to_owned).collect())
        });
        let document = serde_json::to_value(document()).unwrap();
        assert_eq!(documented(&document), served.collect::<Routes>());
    }

    #[test]
    fn the_document_is_valid() {
        let text = document().to_json().unwrap();
        let spec = oas3::from_json(text.as_str()).unwrap();
        assert_eq!(spec.info.title, "Plugrank");
        let mut ids = BTreeSet::new();
        for (path, method, operation) in spec.operations() {
            let id = operation.operation_id.clone().unwrap_or_default();
            assert!(!id.is_empty() && ids.insert(id), "{method} {path} has no id of its own");
            assert!(operation.summary.is_some(), "{method} {path} has no summary");
            assert!(!operation.responses(&spec).is_empty(), "{method} {path} has no responses");
        }
        assert_eq!(ids.len(), 34);
    }

    #[test]
    fn every_reference_resolves() {
        fn references<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    into.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, into));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, into)),
                _ => {}
            }
        }
        let document = serde_json::to_value(document()).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
