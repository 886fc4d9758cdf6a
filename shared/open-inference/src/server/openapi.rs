//! The protocol's paths for the OpenAPI document.

use utoipa::OpenApi;

use super::{
    routes,
    schemas::{InferError, InferRequest, InferResponse},
};
use crate::{ModelMetadata, ServerMetadata};

#[derive(OpenApi)]
#[openapi(
    paths(
        routes::server,
        routes::live,
        routes::ready,
        routes::model,
        routes::model_ready,
        super::infer::infer,
    ),
    components(schemas(ServerMetadata, ModelMetadata, InferRequest, InferResponse, InferError)),
    tags((
        name = "open inference",
        description = "The Open Inference Protocol. Each path of a model is there with \
                       `/versions/{version}` behind its name as well.",
    )),
)]
pub(super) struct Document;
