//! Paths that say which methods they take.

use actix_web::{HttpRequest, Resource, guard, guard::Guard, web};

use crate::problem::Problem;

/// The resource at `path`; a method that is not in `allow`, as the header `Allow` lists them, is
/// answered 405.
pub fn resource(path: &str, allow: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        Err::<&str, _>(Problem::method_not_allowed(request.method(), allow))
    }))
}

/// Takes GET, and HEAD with it.
pub fn get_or_head() -> impl Guard {
    guard::Any(guard::Get()).or(guard::Head())
}
