use std::path::Path;

/// The description of the API, as committed. A change shows up in review.
///
/// To take a change over: `UPDATE_SNAPSHOTS=1 cargo test -p api openapi`.
#[test]
fn the_description_is_as_committed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut now = serde_json::to_string_pretty(&api::openapi()).unwrap();
    now.push('\n');
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(now == committed, "openapi.json is out of date; look at the change and run with UPDATE_SNAPSHOTS=1");
}

#[test]
fn every_route_of_the_contract_is_described() {
    let document = serde_json::to_value(api::openapi()).unwrap();
    for (path, method) in [
        ("/api/upload", "post"),
        ("/api/decompose", "post"),
        ("/api/status/{id}", "get"),
        ("/api/jobs/{id}/events", "get"),
        ("/api/download/{id}", "get"),
        ("/api/jobs/{id}/layers/{n}", "get"),
        ("/api/jobs/{id}/layers/{n}", "patch"),
        ("/api/jobs/{id}/layers/{n}/decompose", "post"),
        ("/api/jobs/{id}/document", "get"),
        ("/api/jobs/{id}/document", "delete"),
        ("/api/jobs/{id}/compose", "post"),
        ("/api/jobs/{id}/preview.jpg", "get"),
        ("/api/jobs/{id}/metadata.json", "get"),
        ("/api/jobs/{id}/text", "get"),
        ("/api/jobs/{id}", "delete"),
        ("/v1/images/edits", "post"),
        ("/api/capabilities", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
    let request = &document["components"]["schemas"]["DecomposeRequest"];
    assert!(request["properties"]["upload_id"].is_object() && request["properties"]["num_layers"].is_object());
}

/// A body can stop, be too long, or be of another type, wherever one is read.
#[test]
fn every_route_with_a_body_says_how_it_is_refused() {
    let document = serde_json::to_value(api::openapi()).unwrap();
    let routes = document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, route)| (format!("{method} {path}"), route))
    });
    let with_body: Vec<_> = routes.filter(|(_, route)| route["requestBody"].is_object()).collect();
    assert!(with_body.len() >= 6);
    for (name, route) in with_body {
        for status in ["400", "408", "413", "415", "422"] {
            assert!(route["responses"][status].is_object(), "{name} does not describe {status}");
        }
    }
}

/// Every `$ref` names something that is there.
#[test]
fn no_reference_leads_nowhere() {
    let document = serde_json::to_value(api::openapi()).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &serde_json::Value, references: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(|text| text.as_str()).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
