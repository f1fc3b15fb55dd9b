//! What the API's description says of tokens, for all operations that need one.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Components, Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};

use crate::auth::scopes::Scope;
use crate::handlers::openai::errors::OpenAiErrorBody;
use crate::http::error::ErrorBody;

const SCHEME: &str = "token";

/// Of routes that need a token.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only describes answers")]
enum AccessFaults {
    /// The service needs a token, and there is none or it is not valid
    #[response(status = 401, headers(("WWW-Authenticate" = String, description = "`Bearer`")))]
    NoToken(ErrorBody),
    /// The token lacks a scope, or the request comes from a web page of another origin
    #[response(status = 403)]
    NoScope(ErrorBody),
    /// The client has sent too many requests
    #[response(status = 429, headers(("Retry-After" = u32, description = "Seconds")))]
    TooManyRequests(ErrorBody),
}

/// The same of routes under `/v1`.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only describes answers")]
enum OpenAiAccessFaults {
    /// The service needs a token, and there is none or it is not valid
    #[response(status = 401, headers(("WWW-Authenticate" = String, description = "`Bearer`")))]
    NoToken(OpenAiErrorBody),
    /// The token lacks a scope, or the request comes from a web page of another origin
    #[response(status = 403)]
    NoScope(OpenAiErrorBody),
    /// The client has sent too many requests
    #[response(status = 429, headers(("Retry-After" = u32, description = "Seconds")))]
    TooManyRequests(OpenAiErrorBody),
}

/// Says of all operations that they need these scopes, and how callers without them are refused.
pub(crate) fn require(document: &mut OpenApi, scopes: &[Scope]) {
    let names = scopes.iter().map(|scope| scope.as_str());
    let requirement = SecurityRequirement::new(SCHEME, names);
    for (path, item) in &mut document.paths.paths {
        let faults = if path.starts_with("/v1/") { OpenAiAccessFaults::responses() } else { AccessFaults::responses() };
        for operation in operations(item) {
            // A service without tokens needs none.
            operation.security = Some(vec![SecurityRequirement::default(), requirement.clone()]);
            add(operation, &faults);
            operation.parameters.iter_mut().flatten().for_each(without_null);
        }
    }
    let about = "A token of the operator's, with the scopes that an operation lists. None is needed where the service \
                 has no tokens.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
    methods.into_iter().flatten()
}

/// Parameters of paths, queries and headers are text: one that is not sent is absent, never null.
fn without_null(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter else { return };
    if let SchemaType::Array(types) = &mut schema.schema_type {
        types.retain(|kind| *kind != Type::Null);
    }
}

/// Adds answers that the operation does not describe itself.
fn add(operation: &mut Operation, faults: &BTreeMap<String, RefOr<Response>>) {
    for (status, response) in faults {
        operation.responses.responses.entry(status.clone()).or_insert_with(|| response.clone());
    }
}
