//! What speaks against documents: each finding at its place, those of one call together.

use super::{House, documents, flow, tenant};

fn findings(text: &str) -> Vec<String> {
    let mut house = House::new();
    let documents = documents(text);
    let found = house.wait(|runtime| async move { runtime.check(&tenant(), &documents).await });
    found.unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn a_tenant_that_is_not_configured_is_an_error_and_no_empty_list() {
    let mut house = House::new();
    let documents = documents(&flow("orders"));
    let nobody = crate::id::TenantId::from("nobody");
    let refused = house.wait(|runtime| async move { runtime.check(&nobody, &documents).await });
    assert_eq!(refused.unwrap_err().title, "no such tenant");
}

#[test]
fn a_flow_that_fits_its_plugins_has_no_findings() {
    let text = "document: {dsl: 1.0.3, namespace: shop, name: orders, version: 1.0.0}\n\
        do: [{ask: {call: 'http-request:1.0.0@default', with: {url: 'https://api.example.com/'}}}]\n";
    assert_eq!(findings(text), [""; 0]);
}

#[test]
fn a_plugin_that_is_not_there_and_an_input_that_does_not_fit_are_found_at_their_places() {
    let text = "document: {dsl: 1.0.3, namespace: shop, name: orders, version: 1.0.0}\n\
        do:\n\
        - a: {call: 'http-requests:1.0.0@default'}\n\
        - b: {call: 'http-request:1.0.0@default', with: {url: 'https://api.example.com/', methods: GET}}\n";
    let found = findings(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("test.yaml:3:")
            && found[0].contains("did you mean `http-request:1.0.0@default`")
    );
    assert!(found[1].starts_with("test.yaml:4:") && found[1].contains("methods"), "{found:?}");
}

#[test]
fn two_documents_of_one_name_are_found() {
    let found = findings(&format!("{}---\n{}", flow("orders"), flow("orders")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("is defined twice"), "{found:?}");
}

#[test]
fn a_path_has_one_owner() {
    let trigger = |name: &str| {
        format!(
            "trigger: {name}\nnamespace: shop\nuses: webhook:1.0.0@default\nflow: orders\n\
             with: {{path: orders/new, auth: {{basic: {{username: u, secret: s}}}}}}\n"
        )
    };
    let found = findings(&format!("{}---\n{}---\n{}", flow("orders"), trigger("one"), trigger("two")));
    assert!(found.iter().any(|finding| finding.contains("belongs to the trigger shop/")), "{found:?}");
}
