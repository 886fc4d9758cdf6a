//! Who may ask what: API keys, tokens of an issuer, their scopes and limits. Knows no HTTP server: it is
//! given the header `Authorization` and says who the caller is, or why the call is refused.

mod caller;
mod denied;
mod gate;
mod key_entry;
mod keys;
mod limits;
mod options;
mod role_token;
mod scope;
mod secret;
mod tokens;
#[cfg(test)]
mod tokens_tests;
mod verify;

pub use caller::Caller;
pub use denied::Denied;
pub use gate::Gate;
pub use key_entry::{KeyEntries, KeyEntry};
pub use keys::read as read_keys;
pub use limits::LimitOptions;
pub use options::{AccessOptions, Auth, CorsOptions, JwtOptions, MetricsAccess};
pub use role_token::RoleToken;
pub use scope::{Scope, ScopeSet};
pub use secret::{Digest, new_key};
