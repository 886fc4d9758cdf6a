//! `/v1/items/{id}`.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ReqData, ServiceConfig},
};
use futures::future::join_all;
use plugrank_contract::{
    CallError, Context, Deadline, Item, ItemId, embedding::Invalidate, retrieval::RefreshItems,
    scoring::FeatureOwner,
};
use plugrank_store::StoredItem;

use crate::{
    Gateway, ServerOptions, ServingModel,
    api::{
        features,
        items::{ItemChanges, ItemContent, ItemView},
    },
    body::{BodyLimit, JsonBody},
    endpoint::{Endpoint, get_or_head},
    observe::RequestInfo,
    problem::{Problem, ProblemDocument},
    routes::{feature_check, item_content},
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
            .route(web::patch().to(patch))
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
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The item's id", example = "i1")),
    responses(
        (status = 200, body = ItemView, description = "The item"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "The id is not one"),
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
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The item's id", example = "mug-1")),
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
    feature_check::check(&gateway, &info, FeatureOwner::Item, &checked.features).await?;
    let _turn = gateway.changes.turn(id.as_str()).await;
    let before = stored(&gateway, &id).await?;
    let new = checked.into_item(id.clone(), before.as_deref());
    gateway.store.put_items(vec![new]).await?;
    announce(&gateway.clone().into_inner(), &info, std::slice::from_ref(&id)).await?;
    let mut response = if before.is_some() { HttpResponse::Ok() } else { HttpResponse::Created() };
    Ok(response.json(view(&gateway, &id).await?))
}

/// Change an item
///
/// What is left out stays, the image too: a price, a stock, whether it may be shown. When the answer
/// comes, rankings see it.
#[utoipa::path(
    patch,
    path = "/v1/items/{id}",
    tag = "catalog",
    operation_id = "patchItem",
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The item's id", example = "i1")),
    request_body(content = ItemChanges, examples(
        ("1-price" = (summary = "Another price", value = json!({"features": {"price": 9.5, "stock": 3}}))),
        ("2-missing" = (summary = "A value that is missing from now on", value = json!({"features": {"stock": null}}))),
    )),
    responses(
        (status = 200, body = ItemView, description = "The item was changed"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A field is wrong; nothing was written"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "The catalog has no such item"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The body is too large"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json", description = "The body is not JSON"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "Not written, or written and not yet retrievable; send it again"),
    ),
)]
pub(crate) async fn patch(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    id: Path<String>,
    JsonBody(changes): JsonBody<ItemChanges>,
) -> Result<HttpResponse, Problem> {
    let id = validate::item_id(id.into_inner())?;
    let written = features::written(&changes.features);
    feature_check::check(&gateway, &info, FeatureOwner::Item, &written).await?;
    let _turn = gateway.changes.turn(id.as_str()).await;
    let before = stored(&gateway, &id).await?;
    let before =
        before.ok_or_else(|| Problem::not_found(format!("the catalog has no item {id}")))?;
    let Item { title, text, categories, created_at, available, features, .. } = before.item.clone();
    let created_at = changes.created_at.unwrap_or(created_at);
    let content = ItemContent {
        title: changes.title.map_or(title, Option::unwrap_or_default),
        text: changes.text.map_or(text, Option::unwrap_or_default),
        categories: changes.categories.map_or(categories, Option::unwrap_or_default),
        created_at,
        available: changes.available.unwrap_or(available),
        features: features::changed(&features, changes.features),
        image: None,
    };
    let new = item_content::check(content).await?.into_item(id.clone(), Some(&before));
    let item = Item { image_hash: before.item.image_hash, created_at, ..new.item };
    gateway.store.update_items(vec![item]).await?;
    announce(&gateway.clone().into_inner(), &info, std::slice::from_ref(&id)).await?;
    Ok(HttpResponse::Ok().json(view(&gateway, &id).await?))
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
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The item's id", example = "mug-1")),
    responses(
        (status = 204, description = "There is no such item any more"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "The id is not one"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "Not removed, or removed and still retrievable; send it again"),
    ),
)]
pub(crate) async fn delete(
    gateway: Data<Gateway>,
    info: ReqData<RequestInfo>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = validate::item_id(id.into_inner())?;
    // One that is being changed would otherwise be written again after it.
    let _turn = gateway.changes.turn(id.as_str()).await;
    gateway.store.delete_items(std::slice::from_ref(&id)).await?;
    announce(&gateway.clone().into_inner(), &info, std::slice::from_ref(&id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// See an item's image
#[utoipa::path(
    get,
    path = "/v1/items/{id}/image",
    tag = "catalog",
    operation_id = "getItemImage",
    params(("id" = String, Path, min_length = 1, max_length = 256, description = "The item's id", example = "i1")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/*", description = "The image file"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "The id is not one"),
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

async fn stored(gateway: &Gateway, id: &ItemId) -> Result<Option<Arc<StoredItem>>, Problem> {
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

/// Tells the models that items changed. The answer depends on the active one alone; for the others, which
/// answer no request or an experiment's, it waits [`BESIDE_BUDGET`] at most.
pub(super) async fn announce(
    gateway: &Arc<Gateway>,
    info: &RequestInfo,
    ids: &[ItemId],
) -> Result<(), Problem> {
    let context = Context {
        model: None,
        request_id: info.request_id,
        deadline: Deadline::after(CHANGE_BUDGET),
        traceparent: info.traceparent(),
        tracestate: info.tracestate.clone(),
    };
    let (active, beside) = gateway.models.all_ready();
    let beside: Vec<_> = beside
        .into_iter()
        .map(|model| {
            let (context, ids, gateway) = (context.clone(), ids.to_vec(), Arc::clone(gateway));
            // Goes on when the answer is written.
            tokio::spawn(async move {
                if let Err(error) = tell(&model, context, &ids).await {
                    gateway.metrics.failed_notice("item_changed");
                    let (version, items) = (&*model.version, ids.len());
                    tracing::warn!(%error, items, version, "a ready model missed item changes");
                }
            })
        })
        .collect();
    let told = tell(&active, context, ids).await;
    // Whether they were told in time or not is theirs to log.
    let _ = tokio::time::timeout(BESIDE_BUDGET, join_all(beside)).await;
    told.map_err(|error| {
        gateway.metrics.failed_notice("item_changed");
        tracing::warn!(%error, items = ids.len(), "item changes were stored but not announced");
        let first = ids.first().map_or("", ItemId::as_str);
        Problem::unavailable(format!(
            "the change of item {first} is stored, but rankings may not see it yet ({}); send it again",
            error.message
        ))
    })
}

/// First the caches forget the item, then retrieval reads it again, so that it cannot read what is stale.
async fn tell(model: &ServingModel, context: Context, ids: &[ItemId]) -> Result<(), CallError> {
    let item_ids = ids.to_vec();
    let told = async {
        let invalidate = Invalidate { item_ids: item_ids.clone() };
        model.clients.invalidate.call(context.clone(), invalidate).await?;
        model.clients.refresh_items.call(context.clone(), RefreshItems { item_ids }).await
    };
    let late = || Err(CallError::deadline(format!("no answer within {CHANGE_BUDGET:?}")));
    context.deadline.limit(told).await.unwrap_or_else(late)
}
