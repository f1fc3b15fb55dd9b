//! The bodies of `POST /api/decompose` in the OpenAPI description: the fields of [`Params`] and of the options, and the
//! picture or its id.

use jobs::{Params, Priority, WebhookEvent};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::options::JobOptions;

/// The JSON body: the parameters and the upload.
pub(crate) struct DecomposeRequest;

/// The form: the parameters and the picture.
pub(crate) struct DecomposeForm;

/// The schema of [`Params`] with the options and one more property. (A flattened field would become an `allOf`, of which
/// one closed half forbids the properties of the other.)
fn params_with(name: &str, property: ObjectBuilder) -> RefOr<Schema> {
    match Params::schema() {
        RefOr::T(Schema::Object(mut params)) => {
            for (option, schema) in JobOptions::properties() {
                params.properties.insert(option.to_owned(), schema);
            }
            params.properties.insert(name.to_owned(), property.build().into());
            params.required.push(name.to_owned());
            params.into()
        }
        other => other,
    }
}

/// The schemas that those of requests refer to.
fn referenced(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    Params::schemas(schemas);
    schemas.push((Priority::name().into_owned(), Priority::schema()));
    schemas.push((WebhookEvent::name().into_owned(), WebhookEvent::schema()));
}

impl PartialSchema for DecomposeRequest {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .description(Some("From the answer to `POST /api/upload`."));
        params_with("upload_id", id)
    }
}

impl PartialSchema for DecomposeForm {
    fn schema() -> RefOr<Schema> {
        let image = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .content_media_type("application/octet-stream")
            .description(Some("The picture. The field may be called `file` too."));
        params_with("image", image)
    }
}

impl ToSchema for DecomposeRequest {
    fn name() -> std::borrow::Cow<'static, str> {
        "DecomposeRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        referenced(schemas);
    }
}

impl ToSchema for DecomposeForm {
    fn name() -> std::borrow::Cow<'static, str> {
        "DecomposeForm".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        referenced(schemas);
    }
}
