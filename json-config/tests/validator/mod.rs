//! Validation with `schema.json`.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Loads the schema. Returns a function that tells whether the schema accepts a configuration.
pub fn load() -> impl Fn(&Value) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    let schema = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.set_default_draft(boon::Draft::V2020_12);
    compiler.add_resource("schema.json", schema).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    move |config| schemas.validate(config, index).is_ok()
}
