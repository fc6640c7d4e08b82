//! The reference of the plugins that ship with the host, `plugins/REFERENCE.md`: made of their descriptors, so that it says
//! what they take and nothing else. With FLOWCELL_WRITE=1 the test writes it anew instead of comparing.

mod schema;

use std::fmt::Write as _;
use std::path::Path;

use flowcell::{Clock, Config, Data, Options, PluginView, Runtime, TenantId};
use serde_json::Value;

/// The plugins in the order in which people look for them.
const PLUGINS: [&str; 4] = ["http-request", "webhook", "http-webhook", "curl"];

#[tokio::test]
async fn the_reference_says_what_the_descriptors_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/REFERENCE.md");
    let made = reference(&plugins().await);
    if std::env::var_os("FLOWCELL_WRITE").is_some() {
        std::fs::write(&path, &made).expect("the reference can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
    assert!(
        kept == made,
        "plugins/REFERENCE.md is not what the descriptors say, from line {} on: run\n  FLOWCELL_WRITE=1 cargo test -p flowcell-tests --test reference",
        first.map_or(kept.lines().count(), |line| line + 1)
    );
}

async fn plugins() -> Vec<PluginView> {
    let options = Options {
        config: Config::default(),
        data: Data::Memory,
        clock: Clock::system(),
        base_url: "http://127.0.0.1".to_owned(),
        schedules: false,
        listeners: vec![],
        compiler: None,
    };
    let runtime = Runtime::open(options).await.expect("a host in memory");
    runtime.plugins(&TenantId::default_tenant())
}

fn reference(plugins: &[PluginView]) -> String {
    let mut text = String::from(
        "# The plugins that ship with the host\n\n\
         Made of their descriptors, which the host checks `with` by; a test fails where the two differ. `*` marks what must be \
         there, or within one of several shapes must be. A duration is ISO 8601 (`PT30S`) or the language's object \
         (`{ seconds: 30 }`). An expression is jq without `${ }`, judged when there is something to judge.\n\n\
         A parameter that is unknown, missing, of another type or out of its limits is refused by `flowcell check` and at \
         deployment with its line and column (400 over REST), and where an expression makes it, at the step: `validation`, \
         status 400, `data.code` `invalid-input`.\n",
    );
    for name in PLUGINS {
        let plugin = plugins.iter().find(|plugin| plugin.name == name).expect("it ships with the host");
        let _ = write!(text, "\n## {}:{}\n\n{}\n", plugin.name, plugin.version, plugin.summary.trim());
        for (list, kind, schemas) in [
            ("actions", "Action", [("input", "Parameters"), ("output", "Output")]),
            ("triggers", "Trigger", [("config", "Parameters"), ("event", "Event: what starts the flow")]),
        ] {
            for item in plugin.descriptor[list].as_array().into_iter().flatten() {
                write_item(&mut text, kind, item, schemas);
            }
        }
        let formats = plugin.descriptor["imports"].as_array().into_iter().flatten();
        for format in formats.filter_map(Value::as_str) {
            let _ = write!(text, "\n### Import `{format}`\n\nMakes a step of a text in this format.\n");
        }
    }
    text
}

fn write_item(text: &mut String, kind: &str, item: &Value, schemas: [(&str, &str); 2]) {
    let part = |name: &str| item[name].as_str().unwrap_or_default().trim();
    let _ = write!(text, "\n### {kind} `{}`\n\n{}\n", part("name"), part("summary"));
    for (name, title) in schemas {
        let rows = schema::rows(&item[name]);
        if rows.is_empty() {
            continue;
        }
        let _ = write!(text, "\n{title}:\n\n| name | type | what it means |\n|---|---|---|\n");
        for row in rows {
            let mark = if row.required { " *" } else { "" };
            let _ = writeln!(text, "| `{}`{mark} | {} | {} |", row.name, row.kind, row.about);
        }
    }
}
