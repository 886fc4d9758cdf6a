//! The routes, one file and one `configure` a resource.

pub(crate) mod backup;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod experiments;
pub(crate) mod export;
mod feature_check;
pub(crate) mod item_bulk;
mod item_content;
pub(crate) mod items;
pub(crate) mod models;
pub(crate) mod playground;
pub(crate) mod rank;
mod rank_answer;
pub(crate) mod rank_batch;
mod rank_query;
mod rank_reply;
mod shadow;
pub(crate) mod similar;
pub(crate) mod users;

use actix_web::web::ServiceConfig;
use plugrank_http::operation_routes;

use crate::Gateway;

/// Adds every route.
pub(crate) fn configure(config: &mut ServiceConfig, gateway: &Gateway) {
    rank::configure(config, &gateway.server);
    rank_batch::configure(config, &gateway.server);
    similar::configure(config);
    events::configure(config, &gateway.server);
    items::configure(config, &gateway.server);
    item_bulk::configure(config);
    users::configure(config, &gateway.server);
    experiments::configure(config, &gateway.server);
    models::configure(config, &gateway.server);
    export::configure(config);
    backup::configure(config);
    operation_routes(config, &gateway.health, &gateway.registry);
    docs::configure(config, gateway);
    playground::configure(config);
    if let Some(api) = &gateway.open_inference {
        (api.routes)(config);
    }
}
