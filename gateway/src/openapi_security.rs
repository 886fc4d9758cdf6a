//! Which key each operation of the OpenAPI document asks for, out of the table that is kept.

use plugrank_access::{MetricsAccess, Scope};
use plugrank_http::problem::MEDIA_TYPE;
use utoipa::openapi::{
    Content, OpenApi, Ref, RefOr, ResponseBuilder, SecurityRequirement,
    path::{Operation, PathItem},
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{
    OtherApi,
    access::{scopes_of, scopes_of_other},
    endpoint::Endpoint,
};

/// Name of the way callers show who they are.
const SCHEME: &str = "key";

const REFUSALS: [(&str, &str); 3] = [
    ("401", "No key, or one that is not valid"),
    ("403", "The key has not the scope"),
    ("429", "The key has asked as much as it may; try again after `Retry-After`"),
];

/// Writes the scopes of each operation into a document.
pub(crate) fn describe(document: &mut OpenApi, other: Option<&OtherApi>, metrics: MetricsAccess) {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("API key or JWT");
    let scheme = scheme.description(Some(
        "An API key of `plugrank keys new`, or a token of the issuer that the server trusts. The scopes \
         of an operation are alternatives; `admin` includes all.",
    ));
    let components = document.components.get_or_insert_default();
    components
        .security_schemes
        .insert(SCHEME.to_owned(), SecurityScheme::Http(scheme.build()).into());
    for (path, item) in &mut document.paths.paths {
        let endpoint = Endpoint::ALL.into_iter().find(|one| one.path().replace(":.*", "") == *path);
        if *path == Endpoint::Metrics.path() && metrics == MetricsAccess::Open {
            continue;
        }
        for (method, operation) in operations(item) {
            let scopes = match (endpoint, other) {
                (Some(endpoint), _) => scopes_of(method, endpoint.path()),
                (None, Some(other)) if other.has(path) => Some(scopes_of_other(other, path)),
                (None, _) => None,
            };
            secure(operation, scopes.unwrap_or(&[Scope::Admin]));
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn secure(operation: &mut Operation, scopes: &[Scope]) {
    if scopes.is_empty() {
        return;
    }
    let one = |scope: &Scope| SecurityRequirement::new(SCHEME, [scope.as_str()]);
    operation.security = Some(scopes.iter().map(one).collect());
    for (status, description) in REFUSALS {
        let problem = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
        let refusal = ResponseBuilder::new().description(description).content(MEDIA_TYPE, problem);
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| refusal.build().into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_operation_documents_its_scopes_and_open_ones_none() {
        let mut document = crate::openapi::document();
        describe(&mut document, None, MetricsAccess::Key);
        let document = serde_json::to_value(document).unwrap();
        assert_eq!(document["components"]["securitySchemes"]["key"]["scheme"], "bearer");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let pattern = Endpoint::ALL.map(Endpoint::path);
                let pattern = pattern.into_iter().find(|one| one.replace(":.*", "") == *path);
                let scopes = scopes_of(&method.to_uppercase(), pattern.unwrap());
                let scopes = scopes.unwrap_or_else(|| panic!("{method} {path} is not in TABLE"));
                let security = match scopes {
                    [] => Value::Null,
                    _ => scopes.iter().map(|scope| json!({ "key": [scope] })).collect(),
                };
                assert_eq!(operation["security"], security, "{method} {path}");
                let refused = !operation["responses"]["401"].is_null();
                assert_eq!(refused, !scopes.is_empty(), "{method} {path}");
            }
        }
    }
}
