//! `/v1/items/{id}`.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ReqData, ServiceConfig},
};
use futures::future::join_all;
use plugrank_contract::{
    CallError, Context, Deadline, Item, ItemId, embedding::Invalidate, retrieval::RefreshItems,
};
use plugrank_store::{NewItem, StoredItem};

use crate::{
    Gateway, ServerOptions, ServingModel,
    api::items::{ItemContent, ItemView},
    body::{BodyLimit, JsonBody},
    endpoint::{Endpoint, get_or_head},
    observe::RequestInfo,
    problem::{Problem, ProblemDocument},
    routes::item_content,
    validate,
};

/// How long telling the services of a changed item may take; encoding is part of it.
const CHANGE_BUDGET: Duration = Duration::from_secs(30);
/// How much longer than the active model the others may hold up the answer.
const BESIDE_BUDGET: Duration = Duration::from_secs(1);

pub(crate) fn configure(config: &mut ServiceConfig, settings: &ServerOptions) {
    let resource =
        Endpoint::Item.resource().app_data(BodyLimit::new(settings.max_item_bytes, settings));
    config.service(
        resource
            .route(web::route().guard(get_or_head()).to(get))
            .route(web::put().to(put))
            .route(web::delete().to(delete)),
    );
    let image = web::route().guard(get_or_head()).to(image);
    config.service(Endpoint::ItemImage.resource().route(image));
}

/// See an item
#[utoipa::path(
    get,
    path = "/v1/items/{id}",
    tag = "catalog",
    operation_id = "getItem",
    params(("id" = String, Path, description = "The item's id", example = "i1")),
    responses(
        (status = 200, body = ItemView, description = "The item"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "The catalog has no such item"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn get(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let id = validate::item_id(id.into_inner())?;
    Ok(HttpResponse::Ok().json(view(&gateway, &id).await?))
}

/// Write an item
///
/// Replaces the item as a whole. When the answer comes, the new content is stored and retrievable.
#[utoipa::path(
    put,
    path = "/v1/items/{id}",
    tag = "catalog",
    operation_id = "putItem",
    params(("id" = String, Path, description = "The item's id", example = "mug-1")),
    request_body(content = ItemContent, examples(
        ("1-title" = (summary = "The least", value = json!({"title": "Blue mug"}))),
        ("2-features" = (summary = "With features", value = json!({
            "title": "Blue mug",
            "text": "A stoneware mug of 0.3 l, dishwasher safe.",
            "categories": ["kitchen"],
            "features": {"price": 12.5, "brand": "Acme"},
        }))),
    )),
    responses(
        (status = 200, body = ItemView, description = "The item was replaced"),
        (status = 201, body = ItemView, description = "The item is new"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong; nothing was written"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "Not written, or written and not yet retrievable; send it again"),
    ),
)]
pub(crate) async fn put(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    id: Path<String>,
    JsonBody(content): JsonBody<ItemContent>,
) -> Result<HttpResponse, Problem> {
    let id = validate::item_id(id.into_inner())?;
    let checked = item_content::check(content).await?;
    let before = stored(&gateway, &id).await?;
    let kept = before.as_ref().map(|stored| stored.item.created_at);
    let created_at =
        checked.created_at.or_else(|| kept.unwrap_or_else(|| Some(validate::now_ms())));
    let item = Item {
        item_id: id.clone(),
        title: checked.title,
        text: checked.text,
        categories: checked.categories,
        created_at,
        available: checked.available,
        image_hash: None,
        features: checked.features,
    };
    gateway.store.put_items(vec![NewItem { item, image: checked.image }]).await?;
    announce(&gateway, &info, &id).await?;
    let mut response = if before.is_some() { HttpResponse::Ok() } else { HttpResponse::Created() };
    Ok(response.json(view(&gateway, &id).await?))
}

/// Remove an item
///
/// When the answer comes, the item is not retrieved any more. Removing what is not there is no
/// error.
#[utoipa::path(
    delete,
    path = "/v1/items/{id}",
    tag = "catalog",
    operation_id = "deleteItem",
    params(("id" = String, Path, description = "The item's id", example = "mug-1")),
    responses(
        (status = 204, description = "There is no such item any more"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "Not removed, or removed and still retrievable; send it again"),
    ),
)]
pub(crate) async fn delete(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = validate::item_id(id.into_inner())?;
    gateway.store.delete_items(std::slice::from_ref(&id)).await?;
    announce(&gateway, &info, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// See an item's image
#[utoipa::path(
    get,
    path = "/v1/items/{id}/image",
    tag = "catalog",
    operation_id = "getItemImage",
    params(("id" = String, Path, description = "The item's id", example = "i1")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/*", description = "The image file"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such item, or it has no image"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn image(
    gateway: Data<Gateway>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = validate::item_id(id.into_inner())?;
    let images = gateway.store.images(std::slice::from_ref(&id)).await?;
    let bytes =
        images.into_iter().next().flatten().ok_or_else(|| {
            Problem::not_found(format!("item {id} has no image, or does not exist"))
        })?;
    let media_type = image::guess_format(&bytes)
        .map_or("application/octet-stream", |format| format.to_mime_type());
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header(("x-content-type-options", "nosniff"))
        .body(bytes))
}

async fn stored(
    gateway: &Gateway,
    id: &ItemId,
) -> Result<Option<std::sync::Arc<StoredItem>>, Problem> {
    let found = gateway.store.items(std::slice::from_ref(id)).await?;
    Ok(found.into_iter().next().flatten())
}

async fn view(gateway: &Gateway, id: &ItemId) -> Result<ItemView, Problem> {
    let stored = stored(gateway, id)
        .await?
        .ok_or_else(|| Problem::not_found(format!("the catalog has no item {id}")))?;
    let stats = gateway.store.item_stats(std::slice::from_ref(id)).await?;
    Ok(ItemView::new(&stored, stats.into_iter().next().unwrap_or_default()))
}

/// Tells the models that an item changed. The answer depends on the active one alone; for the others, which
/// answer no request or an experiment's, it waits [`BESIDE_BUDGET`] at most.
async fn announce(gateway: &Data<Gateway>, info: &RequestInfo, id: &ItemId) -> Result<(), Problem> {
    let context = Context {
        request_id: info.request_id,
        deadline: Deadline::after(CHANGE_BUDGET),
        traceparent: info.traceparent(),
        tracestate: info.tracestate.clone(),
    };
    let (active, beside) = gateway.models.all_ready();
    let beside: Vec<_> = beside
        .into_iter()
        .map(|model| {
            let (context, id, gateway) = (context.clone(), id.clone(), gateway.clone());
            // Goes on when the answer is written.
            tokio::spawn(async move {
                if let Err(error) = tell(&model, context, &id).await {
                    gateway.metrics.failed_notice("item_changed");
                    let version = &*model.version;
                    tracing::warn!(%error, item = %id, version, "a ready model missed an item change");
                }
            })
        })
        .collect();
    let told = tell(&active, context, id).await;
    // Whether they were told in time or not is theirs to log.
    let _ = tokio::time::timeout(BESIDE_BUDGET, join_all(beside)).await;
    told.map_err(|error| {
        gateway.metrics.failed_notice("item_changed");
        tracing::warn!(%error, item = %id, "an item change was stored but not announced");
        Problem::unavailable(format!(
            "the change of item {id} is stored, but rankings may not see it yet ({}); send it again",
            error.message
        ))
    })
}

/// First the caches forget the item, then retrieval reads it again, so that it cannot read what is stale.
async fn tell(model: &ServingModel, context: Context, id: &ItemId) -> Result<(), CallError> {
    let item_ids = vec![id.clone()];
    let told = async {
        let invalidate = Invalidate { item_ids: item_ids.clone() };
        model.clients.invalidate.call(context.clone(), invalidate).await?;
        model.clients.refresh_items.call(context.clone(), RefreshItems { item_ids }).await
    };
    let late = || Err(CallError::deadline(format!("no answer within {CHANGE_BUDGET:?}")));
    context.deadline.limit(told).await.unwrap_or_else(late)
}
