//! The documents, configurations and servers that the tests share. In the text of tasks, `STUB` stands for the stub's address.

use flowcell_tests::{Server, Stub};

use crate::FLOWCELL;

/// A flow `shop/NAME`.
pub fn flow(name: &str, tasks: &str) -> String {
    flow_with(name, "", tasks)
}

/// A flow `shop/NAME` with more keys beside `document` and `do`.
pub fn flow_with(name: &str, keys: &str, tasks: &str) -> String {
    let document = format!("document: {{ dsl: '1.0.3', namespace: shop, name: {name}, version: '1.0.0' }}\n");
    document + keys.trim_start() + "\ndo:\n" + tasks.trim_start() + "\n"
}

/// A trigger `shop/NAME` of the flow `shop/FLOW`; `with` is the plugin's configuration, `{}` for all defaults.
pub fn hook(name: &str, flow: &str, with: &str) -> String {
    format!("trigger: {name}\nnamespace: shop\nuses: webhook:1.0.0@default\nwith: {with}\nflow: {flow}\n")
}

/// Several documents in one file.
pub fn together(documents: &[&str]) -> String {
    documents.join("\n---\n")
}

/// A text with the stub's address in it.
pub fn at(stub: &Stub, text: &str) -> String {
    text.replace("STUB", &stub.url())
}

/// A configuration in which the default tenant may reach this machine, and has these quotas too.
pub fn local(quota: &str) -> String {
    format!(
        "[[tenant]]\nname = \"default\"\n[[tenant.allow]]\nnetwork = \"127.0.0.0/8\"\n[tenant.quota]\n{quota}\n"
    )
}

/// A flow `shop/echo` that gives its input back under `got`.
pub fn echo() -> String {
    flow("echo", "- give: { set: { got: '${ . }' } }")
}

/// `serve` with these documents, whose flows may reach this machine.
pub async fn serve(documents: &[&str]) -> Server {
    FLOWCELL.serve().config(local("")).file("all.yaml", together(documents)).start().await
}
