//! The document in the parts that the API reference loads: an index with what its navigation and its search need, and
//! the details of each operation.

use serde_json::{Map, Value, json};

use super::{METHODS, take_map};

/// The fields of an operation that the index has, in this order after method and path. The details leave them out.
const LISTED: [&str; 5] = ["operationId", "tags", "summary", "description", "deprecated"];

/// The parts of the document.
pub(crate) struct ReferenceParts {
    /// The document without schemas and details: `operations` has a list for each, method and path and then [`LISTED`]
    /// without the absent ones at its end.
    pub(crate) index: Value,
    /// By operation id: the other fields of the operation, and all schemas that they refer to.
    pub(crate) details: Vec<(String, Value)>,
}

impl ReferenceParts {
    pub(crate) fn new(mut document: Value) -> Self {
        let schemas = take_map(&mut document, "/components/schemas");
        let (mut listed, mut details) = (Vec::new(), Vec::new());
        for (path, item) in take_map(&mut document, "/paths") {
            let Value::Object(item) = item else { continue };
            for (method, mut operation) in item.into_iter().filter(|(method, _)| METHODS.contains(&method.as_str())) {
                let mut row = vec![json!(method), json!(path)];
                row.extend(LISTED.map(|field| {
                    operation.as_object_mut().and_then(|fields| fields.remove(field)).unwrap_or_default()
                }));
                let id = row[2].as_str().unwrap_or_default().to_owned();
                while row.last().is_some_and(Value::is_null) {
                    row.pop();
                }
                listed.push(row);
                let schemas = referred(&operation, &schemas);
                details.push((id, json!({"operation": operation, "schemas": schemas})));
            }
        }
        let index = json!({
            "openapi": document["openapi"].take(),
            "info": document["info"].take(),
            "servers": document["servers"].take(),
            "tags": document["tags"].take(),
            "securitySchemes": document["components"]["securitySchemes"].take(),
            "operations": listed,
        });
        Self { index, details }
    }
}

/// The schemas that a value refers to, also through others.
fn referred(value: &Value, schemas: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let name = value.as_str().filter(|_| key == "$ref").and_then(|text| text.rsplit('/').next());
                    match name.and_then(|name| schemas.get_key_value(name)) {
                        Some((name, _)) if found.contains_key(name) => {}
                        Some((name, schema)) => {
                            found.insert(name.clone(), schema.clone());
                            open.push(schema);
                        }
                        None => open.push(value),
                    }
                }
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn index_and_details_are_the_document() {
        let document = crate::api::document(&Config::default());
        let ReferenceParts { index, details } = ReferenceParts::new(document.clone());
        let rows = index["operations"].as_array().unwrap();
        let count = document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len());
        assert_eq!((rows.len(), details.len()), (count.clone().sum(), count.sum()));
        for (row, (id, part)) in rows.iter().zip(&details) {
            let [method, path] = [0, 1].map(|at| row[at].as_str().unwrap());
            let mut operation = part["operation"].clone();
            for (at, field) in LISTED.iter().enumerate() {
                if let Some(value) = row.get(at + 2).filter(|value| !value.is_null()) {
                    operation[*field] = value.clone();
                }
            }
            assert_eq!(operation, document["paths"][path][method], "{id}");
            assert_eq!(operation["operationId"], **id);
        }
    }

    #[test]
    fn details_have_every_schema_that_they_refer_to() {
        let document = crate::api::document(&Config::default());
        let mut references = 0;
        for (id, part) in ReferenceParts::new(document.clone()).details {
            let text = part.to_string();
            for (at, prefix) in text.match_indices("\"$ref\":\"#/components/schemas/") {
                let name = text[at + prefix.len()..].split('"').next().unwrap();
                assert_eq!(part["schemas"][name], document["components"]["schemas"][name], "{id}: {name}");
                references += 1;
            }
        }
        assert!(references > 100, "{references}");
    }
}
