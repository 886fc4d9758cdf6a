//! Which key may ask what: one table, and the check that keeps it, for every request before its route.

use std::borrow::Cow;

use actix_cors::Cors;
use actix_web::{
    dev::ServiceRequest,
    http::{Method, header},
};
use plugrank_access::{
    CorsOptions, Denied, MetricsAccess,
    Scope::{self, Admin, Events, Items, Rank},
};

use crate::{Gateway, OtherApi, endpoint::Endpoint, observe::RequestInfo, problem::Problem};

/// Open to all.
const OPEN: &[Scope] = &[];

/// Every operation, and the scopes of which a caller must have one. HEAD is as GET. What is served and
/// stands not here needs `admin`.
const TABLE: &[(&str, Endpoint, &[Scope])] = &[
    ("POST", Endpoint::Rank, &[Rank]),
    ("POST", Endpoint::RankBatch, &[Rank]),
    ("GET", Endpoint::ItemSimilar, &[Rank]),
    ("POST", Endpoint::Events, &[Events]),
    ("GET", Endpoint::Item, &[Rank, Items]),
    ("POST", Endpoint::Items, &[Items]),
    ("PUT", Endpoint::Item, &[Items]),
    ("PATCH", Endpoint::Item, &[Items]),
    ("DELETE", Endpoint::Item, &[Items]),
    ("GET", Endpoint::ItemImage, &[Rank, Items]),
    ("GET", Endpoint::User, &[Admin]),
    ("PUT", Endpoint::User, &[Admin]),
    ("PATCH", Endpoint::User, &[Admin]),
    ("DELETE", Endpoint::User, &[Admin]),
    ("GET", Endpoint::Models, &[Admin]),
    ("POST", Endpoint::Models, &[Admin]),
    ("DELETE", Endpoint::Model, &[Admin]),
    ("POST", Endpoint::ModelActivate, &[Admin]),
    ("GET", Endpoint::Experiments, &[Admin]),
    ("GET", Endpoint::Experiment, &[Admin]),
    ("PUT", Endpoint::Experiment, &[Admin]),
    ("DELETE", Endpoint::Experiment, &[Admin]),
    ("GET", Endpoint::ExperimentResults, &[Admin]),
    ("GET", Endpoint::Export, &[Admin]),
    ("GET", Endpoint::Backup, &[Admin]),
    ("GET", Endpoint::Liveness, OPEN),
    ("GET", Endpoint::Readiness, OPEN),
    // Or open, as access.metrics says.
    ("GET", Endpoint::Metrics, &[Scope::Metrics]),
    ("GET", Endpoint::OpenApi, OPEN),
    ("GET", Endpoint::Docs, OPEN),
    ("GET", Endpoint::DocsFile, OPEN),
    ("GET", Endpoint::Playground, OPEN),
    ("GET", Endpoint::PlaygroundFile, OPEN),
    // They are users, by id.
    ("GET", Endpoint::PlaygroundShoppers, &[Admin]),
];

/// Of the other protocol's paths, but for those that machines ask all the time.
const OTHER: &[Scope] = &[Rank];

/// The scopes that a path needs, by its pattern; `None` where the table does not have it.
pub(crate) fn scopes_of(method: &str, pattern: &str) -> Option<&'static [Scope]> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut of_path = TABLE.iter().filter(|(_, endpoint, _)| endpoint.path() == pattern).peekable();
    of_path.peek()?;
    // Another method is answered 405 to every caller.
    Some(of_path.find(|(known, ..)| *known == method).map_or(OPEN, |(.., scopes)| scopes))
}

/// The same of the other protocol's.
pub(crate) fn scopes_of_other(api: &OtherApi, path: &str) -> &'static [Scope] {
    if (api.is_probe)(path) { OPEN } else { OTHER }
}

/// What a request needs. Its path is read as the router reads it, `%72` as `r`: else the same path in
/// another spelling would be another's.
fn needed(gateway: &Gateway, request: &ServiceRequest) -> &'static [Scope] {
    let path = request.match_info().as_str();
    if let Some(api) = gateway.open_inference.as_ref().filter(|api| api.has(path)) {
        return scopes_of_other(api, path);
    }
    let pattern = match Endpoint::fixed(path) {
        Some(fixed) => Cow::Borrowed(fixed),
        None => match request.resource_map().match_pattern(path) {
            Some(pattern) => Cow::Owned(pattern),
            // Nothing is there, as it will be told.
            None => return OPEN,
        },
    };
    if pattern == Endpoint::Metrics.path() && gateway.access.metrics == MetricsAccess::Open {
        return OPEN;
    }
    scopes_of(request.method().as_str(), &pattern).unwrap_or(&[Admin])
}

/// Says whether a request may go on to its route, and notes who is asking.
pub(crate) fn admit(
    gateway: &Gateway,
    request: &ServiceRequest,
    info: &RequestInfo,
) -> Result<(), Problem> {
    known_host(gateway, request)?;
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(header::HeaderValue::as_bytes);
    let admitted = gateway.gate.admit(authorization, needed(gateway, request));
    let caller = admitted.map_err(|denied| refused(gateway, denied))?;
    if let Some(caller) = caller {
        info.came_from(caller);
    }
    Ok(())
}

/// What a caller that is not let in is told; it is counted.
pub(crate) fn refused(gateway: &Gateway, denied: Denied) -> Problem {
    gateway.metrics.rejected(denied.cause());
    Problem::from(denied)
}

/// Refuses requests to a name that is not this server's, where its names are known. Probes come by
/// address.
fn known_host(gateway: &Gateway, request: &ServiceRequest) -> Result<(), Problem> {
    let hosts = &gateway.access.hosts;
    if hosts.is_empty()
        || [Endpoint::Liveness, Endpoint::Readiness].map(Endpoint::path).contains(&request.path())
    {
        return Ok(());
    }
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = request.uri().host().or(header).unwrap_or_default();
    let name = without_port(named);
    if hosts.iter().any(|host| host.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    gateway.metrics.rejected("host");
    Err(Problem::misdirected(name))
}

fn without_port(host: &str) -> &str {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    port.map_or(host, |(name, _)| name)
}

/// What browsers of other origins are told.
pub(crate) fn cors(options: &CorsOptions) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers([
            "authorization",
            "content-type",
            "traceparent",
            "tracestate",
            "x-request-id",
        ])
        .expose_headers(["retry-after", "server-timing", "traceparent", "x-request-id"])
        .max_age(options.max_age_s as usize);
    if options.origins == ["*"] {
        return cors.allow_any_origin().send_wildcard();
    }
    options.origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_exactly_the_served_operations() {
        for endpoint in Endpoint::ALL {
            let listed = TABLE.iter().filter(|(_, of, _)| *of == endpoint);
            let mut listed: Vec<&str> = listed.map(|(method, ..)| *method).collect();
            let mut served: Vec<&str> =
                endpoint.allow().split(", ").filter(|method| *method != "HEAD").collect();
            listed.sort_unstable();
            served.sort_unstable();
            assert_eq!(listed, served, "{endpoint:?}: its lines in TABLE");
        }
    }

    #[test]
    fn head_needs_the_scopes_of_get_and_other_methods_reach_the_router() {
        let user = Endpoint::User.path();
        assert_eq!(scopes_of("HEAD", user), Some(&[Admin][..]));
        assert_eq!(scopes_of("TRACE", user), Some(OPEN));
        assert_eq!(scopes_of("GET", "/v1/secrets"), None);
    }

    #[test]
    fn the_host_name_excludes_the_port() {
        for (host, name) in [
            ("rank.example.com:8080", "rank.example.com"),
            ("rank.example.com", "rank.example.com"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
