//! The OpenAPI document: its frame, and how problems stand in it. The rest comes from the routes.

use crate::{
    problem::{self, Kind},
    rate, routes,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The OpenAPI 3.1 document of the HTTP face, as JSON.
#[must_use]
pub fn openapi() -> String {
    format!("{:#}", document())
}

fn document() -> Value {
    let (_router, document) = routes::all().split_for_parts();
    // Made of strings and maps of strings: there is nothing that JSON cannot say.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
        schemas.values_mut().for_each(require_nullable);
    }
    tell_limits(&mut document);
    document
}

/// What stands in the head of answers where callers are limited.
const LIMIT_HEADERS: [(&str, &str, &str); 3] = [
    (
        "RateLimit-Policy",
        "Calls that may come at once, and the seconds after which there is room for as many again. Where the server limits callers.",
        "\"user\";q=250;w=5",
    ),
    (
        "RateLimit",
        "Calls that are left, and the seconds after which there is room for one more. Where the server limits callers.",
        "\"user\";r=249;t=1",
    ),
    ("Retry-After", "Seconds to wait before the next try.", "1"),
];

/// The limit lies before all routes that it applies to, so it is told here and by none of them.
fn tell_limits(document: &mut Value) {
    for (name, description, example) in LIMIT_HEADERS {
        let schema = if name == "Retry-After" {
            json!({ "type": "integer", "minimum": 1 })
        } else {
            json!({ "type": "string" })
        };
        let example = example.parse::<i64>().map_or_else(|_text| json!(example), Value::from);
        document["components"]["headers"][name] =
            json!({ "description": description, "schema": schema, "example": example });
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, item) in paths.filter(|(path, _)| rate::applies_to(path)) {
        let operations = item.as_object_mut().into_iter().flat_map(|item| item.values_mut());
        for (status, answer) in operations
            .filter_map(|operation| operation["responses"].as_object_mut())
            .flat_map(|responses| responses.iter_mut())
        {
            let told: &[_] = match status.as_str() {
                // Whoever is unknown is not counted.
                "401" => &[],
                "429" | "503" => &["RateLimit-Policy", "RateLimit", "Retry-After"],
                _ => &["RateLimit-Policy", "RateLimit"],
            };
            for name in told {
                answer["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
            }
        }
    }
}

/// Answers write their nulls, so what may be null is always there. Requests may leave it out: they
/// are the ones that take no other members.
fn require_nullable(schema: &mut Value) {
    let is_answer = schema.get("additionalProperties").is_none();
    let Some(Value::Object(properties)) = schema.get("properties").filter(|_| is_answer) else {
        return;
    };
    let is_null = |kind: &Value| kind == "null";
    let may_be_null = |property: &Value| {
        let kinds = property["type"].as_array();
        let choices = property["oneOf"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(is_null))
            || choices.is_some_and(|choices| choices.iter().any(|choice| is_null(&choice["type"])))
    };
    let nullable: Vec<Value> = properties
        .iter()
        .filter(|(_, property)| may_be_null(property))
        .map(|(name, _)| name.as_str().into())
        .collect();
    if let Value::Array(required) = schema
        .as_object_mut()
        .map_or(&mut Value::Null, |schema| schema.entry("required").or_insert_with(|| json!([])))
    {
        required.extend(nullable);
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Paceline", description = "", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    tags(
        (name = "syncs", description = "Runs that bring a provider's records to us"),
        (name = "connections", description = "Users' accounts at the providers: connect, show, disconnect"),
        (name = "data", description = "What was stored"),
        (name = "admin", description = "For staff: jobs, bulk operations, workers, providers, failures, audit. `viewer` reads, \
            `operator` steers single jobs, workers and pauses, `admin` acts on many and sets limits"),
        (name = "operations", description = "For operators and machines; no token needed")),
    components(schemas(problem::Body)),
    modifiers(&Frame))]
struct Frame;

impl Modify for Frame {
    fn modify(&self, document: &mut Document) {
        document.info.description = Some(description());
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("A token of an issuer that this server is configured to trust."))
            .build();
        if let Some(components) = &mut document.components {
            components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        }
    }
}

/// The document without its routes.
pub(crate) fn frame() -> Document {
    Frame::openapi()
}

fn description() -> String {
    let mut text = "JSON with names in camelCase. Times are RFC 3339 in UTC; only time ranges are Unix seconds. \
        Lists come in pages: hand `nextCursor` back as `cursor`. Every answer carries `x-request-id`. \
        Every failure is a problem (RFC 9457), `application/problem+json`, of one of these types:\n\n\
        | type | status | meaning |\n|---|---|---|\n"
        .to_owned();
    for &kind in Kind::ALL {
        let entry = kind.entry();
        let status = entry.status.as_u16();
        // Writing into a string cannot fail.
        let _always_ok = writeln!(
            text,
            "| `{}` | {status} | {}. {} |",
            kind.reference(),
            entry.title,
            entry.meaning
        );
    }
    text
}

/// What any route that asks for a token may answer.
const ANYWHERE: [Kind; 5] = [
    Kind::Unauthenticated,
    Kind::TooManyRequests,
    Kind::Unavailable,
    Kind::TimedOut,
    Kind::Internal,
];

/// A response for each status of these kinds, and of those that may come anywhere.
pub(crate) fn responses(kinds: &[Kind]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<u16, Vec<String>>::new();
    for kind in kinds.iter().chain(&ANYWHERE) {
        let entry = kind.entry();
        by_status
            .entry(entry.status.as_u16())
            .or_default()
            .push(format!("`{}`: {}", entry.name, entry.title));
    }
    by_status
        .into_iter()
        .map(|(status, kinds)| {
            let schema = Ref::from_schema_name("Problem");
            let response = ResponseBuilder::new()
                .description(kinds.join("; "))
                .content(problem::MEDIA_TYPE, Content::new(Some(schema)))
                .build();
            (status.to_string(), response.into())
        })
        .collect()
}

/// Names the problems of a route, for its `responses`.
macro_rules! problems {
    ($name:ident: $($kind:ident),+ $(,)?) => {
        struct $name;
        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::openapi::responses(&[$($crate::problem::Kind::$kind),+])
            }
        }
    };
}
pub(crate) use problems;

#[cfg(test)]
mod tests;
