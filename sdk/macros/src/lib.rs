//! The attributes of `flowcell-sdk`: functions over typed structs become actions and triggers, and a list of them a
//! component.
//!
//! The function stays as it was written. Beside it stands a type of the same name that implements the SDK's trait;
//! `plugin!` refers to that type. All errors are worded for authors of plugins: sdk/tests/ui holds them.

mod action;
mod attribute;
mod documentation;
mod plugin;
mod signature;
mod trigger;

use proc_macro::TokenStream;

/// Makes an action of a function `fn(input: Input, ctx: &mut Context) -> Result<Output, Problem>`.
///
/// The function's name in kebab case is the action's name; the first line of its documentation is the title, the
/// rest the summary. Keys, all optional:
///
/// | key | says |
/// |---|---|
/// | `name = "post-message"` | another name |
/// | `idempotent` | a repeat does no harm |
/// | `wants(http = "api.example.com: reads the weather")` | what it asks to be granted, and why; may repeat |
/// | `example = r#"{"city": "Delft"}"#` | an input as it may be written; may repeat |
/// | `resume = function` | `fn(state: State, wake: Wake, ctx: &mut Context)`, returning what the action returns |
/// | `cancel = function` | `fn(state: State, reason: &str, ctx: &mut Context) -> Result<(), Problem>` |
/// | `check = function` | `fn(draft: &Draft, ctx: &mut Context) -> Vec<Finding>`: what no schema says of an input |
#[proc_macro_attribute]
pub fn action(attribute: TokenStream, item: TokenStream) -> TokenStream {
    action::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a trigger of a function `fn(config: Config, request: Inbound, ctx: &mut Context) -> Result<Verdict, Problem>`.
///
/// Name, title and summary as for an action. Keys, all optional:
///
/// | key | says |
/// |---|---|
/// | `name = "orders"` | another name |
/// | `event = Event` | the type whose schema is that of the event |
/// | `wants(http = "…: …")` | what it asks to be granted, and why; may repeat |
/// | `example = r#"{}"#` | a configuration as it may be written; may repeat |
/// | `enable = function` | `fn(config: Config, ctx: &mut Context) -> Result<State, Problem>`: subscribes |
/// | `disable = function` | `fn(config: Config, state: State, ctx: &mut Context) -> Result<(), Problem>`: unsubscribes |
/// | `check = function` | `fn(draft: &Draft, ctx: &mut Context) -> Vec<Finding>`: what neither schema nor `Config` says |
/// | `sample = function` | `fn(sample: Sample, ctx: &mut Context) -> Result<Vec<Variable>, String>` |
///
/// What reading a `Config` refuses is found when the trigger is checked or deployed.
#[proc_macro_attribute]
pub fn trigger(attribute: TokenStream, item: TokenStream) -> TokenStream {
    trigger::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a component of actions, triggers and imports; once per crate, at its root.
///
/// `plugin!(temperature)`, or with everything said:
/// `plugin! { actions: [temperature], triggers: [storm], name: "weather", title: "Weather", summary: "…" }`.
/// Without `name` the plugin has the name of its package, without the prefix `flowcell-plugin-`; without `title` it
/// has the package's description. Version, licence and source are the package's. Triggers with `sample` are listed under
/// `sampling` as well.
///
/// `imports: [post_card = function]` makes steps of texts in the format `post-card`: the function is
/// `fn(text: &str, ctx: &mut Context) -> Result<Import, String>`. A plugin on the path of requests is better off without:
/// each of its sandboxes would carry the code. One that only imports is `plugin! { imports: [post_card = function] }`.
///
/// Functions in modules are named by their path, `plugin!(weather::temperature)`: the type beside the function has its
/// name, so importing it into a module that has a `mod` of that name is a conflict.
#[proc_macro]
pub fn plugin(input: TokenStream) -> TokenStream {
    plugin::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
