//! Who may see the pages for operators: keys with the scope `admin`, where keys are asked for.

use actix_web::{
    ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
    middleware::Next,
    web::Data,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use plugrank_access::{Gate, Scope};
use plugrank_http::Problem;

/// Browsers ask their user by this: the password is the key.
const BASIC: HeaderValue =
    HeaderValue::from_static("Basic realm=\"plugrank: the password is a key\"");

/// Lets a request on to its page, or says why not.
pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let shown = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let password = shown.and_then(password);
    let admitted = match request.app_data::<Data<Gate>>() {
        Some(gate) => gate.admit(password.as_deref().or(shown), &[Scope::Admin]),
        None => return Err(Problem::internal("the port does not know whom it lets in").into()),
    };
    let Err(denied) = admitted else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let mut response = Problem::from(denied).error_response();
    if response.status() == 401 {
        response.headers_mut().append(WWW_AUTHENTICATE, BASIC);
    }
    Ok(request.into_response(response))
}

/// The password of `Basic USER:PASSWORD`, as a bearer token.
fn password(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, login) = std::str::from_utf8(authorization).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let login = String::from_utf8(STANDARD.decode(login.trim()).ok()?).ok()?;
    let (_, password) = login.split_once(':')?;
    Some(format!("Bearer {password}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_auth_password_is_a_key() {
        // admin:plugrank_k
        assert_eq!(password(b"Basic YWRtaW46cGx1Z3Jhbmtfaw==").unwrap(), b"Bearer plugrank_k");
        for other in [&b"Bearer YWRtaW46cGx1Z3Jhbmtfaw=="[..], b"Basic !", b"Basic", b"Basic eA=="]
        {
            assert_eq!(password(other), None);
        }
    }
}
