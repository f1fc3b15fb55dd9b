//! All routes, and the layers around them.

use std::any::Any;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config as SwaggerConfig, SwaggerUi};

use crate::auth::layer;
use crate::auth::scopes::Scope;
use crate::config::Config;
use crate::description;
use crate::handlers::access::{session, share};
use crate::handlers::edits::{compose, document, keep, layer_patch, pick, pictures, split, strokes, versions};
use crate::handlers::jobs::{cancel, events, status, submit};
use crate::handlers::openai::{errors as openai_errors, images, models};
use crate::handlers::results::{download, files, text};
use crate::handlers::service::{capabilities, fonts, health, metrics};
use crate::handlers::{page, uploads};
use crate::http::caching::weaken_compressed_tag;
use crate::http::error::Error;
use crate::http::hosts::{self, Hosts};
use crate::http::origin;
use crate::http::prefix;
use crate::prometheus;
use crate::state::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whatever a file of a job holds, such as a script in an SVG, does not run when it is opened by itself.
const FILE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// A UUID has 36 characters; the ids of proxies are not much longer.
const MAX_REQUEST_ID: usize = 128;

/// Bytes of a path in the log.
const MAX_SHOWN_PATH: usize = 200;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Unflatten",
        description = "Turns a flat poster into editable RGBA layers.\n\n\
            Upload a picture, start a job, follow it, download its layers. Every error has the body \
            `{\"error\":{\"code\",\"message\"}}`: the code is for programs, the message for people. Every answer has an \
            `x-request-id`; look for it in the service's log.\n\n\
            A service with tokens needs one in `Authorization: Bearer TOKEN`; each operation says which scopes it has to \
            have. A job is there for the token that made it (`JOBS_VISIBLE_TO`).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    // Relative to the address of this description, so that it holds under any prefix.
    servers((url = "..")),
    components(schemas(events::Frame)),
    tags(
        (name = "decompose", description = "From a picture to a job"),
        (name = "jobs", description = "How a job goes"),
        (name = "results", description = "What a job made"),
        (name = "openai", description = "For programs that speak OpenAI's API"),
        (name = "access", description = "Who may do what"),
        (name = "service", description = "The service itself"),
    )
)]
struct Description;

/// The routes with their description, so that the two cannot drift apart, by the scopes that they need.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(open_routes())
        .merge(needing(&[Scope::Read], read_routes()))
        .merge(needing(&[Scope::Submit], submit_routes()))
        .merge(needing(&[Scope::Edit], edit_routes()))
        // Costs as much as a job, and changes the document.
        .merge(needing(&[Scope::Submit, Scope::Edit], OpenApiRouter::new().routes(routes!(split::decompose_layer))))
}

fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session::session, session::sign_in, session::sign_out))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
}

fn read_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(uploads::image))
        .routes(routes!(status::status))
        .routes(routes!(status::list))
        .routes(routes!(events::events))
        .routes(routes!(download::download))
        .routes(routes!(files::layer))
        .routes(routes!(document::document))
        .routes(routes!(pictures::picture))
        .routes(routes!(compose::compose))
        .routes(routes!(files::preview))
        .routes(routes!(files::metadata))
        .routes(routes!(text::text))
        .routes(routes!(share::share))
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(capabilities::capabilities))
        .routes(routes!(fonts::fonts))
        .routes(routes!(fonts::font_file))
        .routes(routes!(metrics::metrics))
}

fn submit_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(uploads::upload))
        .routes(routes!(submit::decompose))
        .routes(routes!(cancel::cancel_or_delete))
        .routes(routes!(images::edit_image))
}

fn edit_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(layer_patch::patch))
        .routes(routes!(document::put, document::reset))
        .routes(routes!(pictures::add))
        .routes(routes!(pick::pick))
        .routes(routes!(strokes::paint))
        .routes(routes!(document::undo))
        .routes(routes!(document::redo))
        .routes(routes!(versions::create))
        .routes(routes!(versions::delete))
        .routes(routes!(versions::restore))
        .routes(routes!(keep::keep))
}

/// Routes that refuse callers without these scopes; their description says so.
fn needing(scopes: &'static [Scope], routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    let mut routes = routes.route_layer(from_fn_with_state(scopes, layer::require));
    description::require(routes.get_openapi_mut(), scopes);
    routes
}

/// The API's description (OpenAPI 3.1), as `/api/openapi.json` serves it.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

pub(crate) fn router(app: App) -> Router {
    let config = app.config.clone();
    let (api, description) = routes().split_for_parts();
    let description = Arc::new(description);
    let docs = Router::new()
        .route("/api/openapi.json", axum::routing::get(move || async move { Json(description) }))
        .merge(docs())
        .route_layer(from_fn_with_state::<_, &'static [Scope], _>(&[Scope::Read], layer::require));
    let api = api
        .merge(docs)
        .fallback(page::serve)
        .method_not_allowed_fallback(|| async { Error::from_status(StatusCode::METHOD_NOT_ALLOWED) })
        // Handlers that read bodies have limits of their own.
        .layer(DefaultBodyLimit::disable());
    let api = with_error_shape(api)
        .layer(from_fn_with_state((Arc::clone(&app.auth), Arc::clone(&config)), layer::identify))
        .layer(cors(&config))
        .layer(csrf(&config))
        .layer(from_fn_with_state(Arc::new(Hosts::from_config(&config)), hosts::check))
        .layer(from_fn(openai_errors::error_shape))
        .layer(from_fn_with_state(Arc::clone(&config.base_path), prefix::scope))
        .with_state(app);
    prefix::mount(with_service_layers(api), &config.base_path)
}

/// Gives panics and errors of libraries the shape of our own errors.
fn with_error_shape<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn(error_shape))
}

/// The layers around every answer, errors of inner layers included.
fn with_service_layers(router: Router) -> Router {
    let compressed = DefaultPredicate::new().and(NotForContentType::const_new("application/zip"));
    let header = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    router
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(map_response(weaken_compressed_tag))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // The page and the reference have policies of their own.
        .layer(header(header::CONTENT_SECURITY_POLICY, FILE_POLICY))
        // For browsers that do not know frame-ancestors.
        .layer(header(header::X_FRAME_OPTIONS, "DENY"))
        .layer(header(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        // Addresses hold job ids, which give access to results.
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(from_fn(prometheus::count_requests))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_response(DefaultOnResponse::new().level(tracing::Level::DEBUG))
                // Errors log themselves, with their cause.
                .on_failure(()),
        )
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(map_request(check_request_id))
}

/// Removes a request id that a client or a proxy set if it does not look like one: it would be in each line of the log,
/// and in the answer.
async fn check_request_id(mut request: Request) -> Request {
    let headers = request.headers_mut();
    let is_id = |value: &HeaderValue| value.len() <= MAX_REQUEST_ID && value.to_str().is_ok();
    if headers.get(&REQUEST_ID).is_some_and(|value| !is_id(value)) {
        headers.remove(&REQUEST_ID);
    }
    request
}

/// The start of a path, so that long ones do not fill the log.
fn shown_path(path: &str) -> &str {
    &path[..path.floor_char_boundary(MAX_SHOWN_PATH)]
}

fn span(request: &Request<Body>) -> tracing::Span {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok()).unwrap_or_default();
    tracing::info_span!(
        "request",
        method = prometheus::method_name(request.method()),
        path = shown_path(request.uri().path()),
        request_id = id,
        job_id = tracing::field::Empty,
    )
}

/// Swagger UI with its own assets, on `/docs`.
fn docs() -> Router<App> {
    // Looser than the page's policy because React sets style attributes.
    let policy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";
    // Relative, so that it works under any prefix.
    let config = SwaggerConfig::from("../api/openapi.json").try_it_out_enabled(true);
    Router::from(SwaggerUi::new("/docs").config(config))
        .layer(map_response(to_relative))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)))
}

/// The way from `/docs` to `/docs/`.
async fn to_relative(mut response: Response) -> Response {
    if response.headers().get(header::LOCATION).is_some_and(|location| location == "/docs/") {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("docs/"));
    }
    response
}

fn cors(config: &Config) -> CorsLayer {
    let id = REQUEST_ID;
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(config.cors_origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            id.clone(),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER, header::CONTENT_DISPOSITION, header::ETAG, id])
}

/// Keeps web pages of other origins from starting or deleting jobs: CORS does not apply to forms. Requests that do not
/// come from browsers pass.
fn csrf(config: &Config) -> CsrfLayer<fn(ProtectionError) -> Response> {
    let public = config.public_origin();
    let trusted = config.cors_origins.iter().filter_map(|origin| origin.to_str().ok()).chain(public.as_deref());
    let layer = trusted.fold(CsrfLayer::new(), |layer, origin| {
        // Checked to be origins when the settings were read.
        layer.clone().add_trusted_origin(origin).unwrap_or(layer)
    });
    layer.with_rejection_response(cross_origin)
}

fn cross_origin(_: ProtectionError) -> Response {
    origin::cross_origin().into_response()
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(format!("a handler panicked: {}", text.unwrap_or("no message"))).into_response()
}

/// Gives errors that a layer or library answered the shape of our own.
async fn error_shape(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if !is_error || is_json {
        return response;
    }
    let mut ours = Error::from_status(status).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        ours.headers_mut().insert(header::ALLOW, allow.clone());
    }
    ours
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn answer(router: Router) -> (StatusCode, serde_json::Value) {
        let response = with_error_shape(router).oneshot(Request::new(Body::empty())).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_error_like_others_and_keeps_its_words_to_itself() {
        async fn panics() -> &'static str {
            panic!("the secret is 42")
        }
        let (status, body) = answer(Router::new().route("/", get(panics))).await;
        assert_eq!((status.as_u16(), body["error"]["code"].as_str()), (500, Some("internal_error")));
        assert!(!body.to_string().contains("42"));
    }

    #[tokio::test]
    async fn errors_of_libraries_get_our_shape() {
        let (status, body) = answer(Router::new().route("/", get(|| async { StatusCode::REQUEST_TIMEOUT }))).await;
        assert_eq!((status.as_u16(), body["error"]["code"].as_str()), (408, Some("request_timeout")));
        let (status, body) = answer(Router::new().route("/", get(|| async { (StatusCode::NOT_FOUND, "gone") }))).await;
        assert_eq!((status.as_u16(), body["error"]["code"].as_str()), (404, Some("not_found")));
    }
}
