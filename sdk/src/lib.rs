//! What the author of a Flowcell plugin imports.
//!
//! A plugin is a crate with functions over typed structs. An attribute makes an action or a trigger of a function;
//! [`plugin!`] makes a component of them. The same functions run natively in `cargo test`, against
//! [`testing::MockHost`].
//!
//! ```
//! use flowcell_sdk::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input {
//!     /// City to look up
//!     city: String,
//! }
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
//! struct Output {
//!     celsius: f64,
//! }
//!
//! /// Current temperature of a city.
//! #[flowcell_sdk::action(wants(http = "api.example.com: reads the weather"))]
//! fn temperature(input: Input, ctx: &mut Context) -> Result<Output, Problem> {
//!     let answer = ctx.http().get("https://api.example.com/now").query("city", &input.city).send()?;
//!     answer.error_for_status()?.json()
//! }
//!
//! flowcell_sdk::plugin!(temperature);
//!
//! # fn main() {
//! // In a test:
//! use flowcell_sdk::testing::{MockHost, answer, request};
//! let host = MockHost::new().expect(
//!     request("GET", "https://api.example.com/now?city=Delft"),
//!     answer(200).json(json!({ "celsius": 11.5 })),
//! );
//! let output = temperature(Input { city: "Delft".into() }, &mut host.context());
//! assert_eq!(output, Ok(Output { celsius: 11.5 }));
//! # }
//! ```
//!
//! The crate's Cargo.toml names `flowcell-sdk`, `serde` and `schemars`, and
//! `crate-type = ["cdylib", "rlib"]`. What the sandbox may reach is the host's to say, not the plugin's; this crate
//! holds no policy, no retries and no scheduling.

mod action;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(any(test, all(target_arch = "wasm32", target_os = "unknown")))]
mod blocks;
mod checks;
mod context;
mod descriptor;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod export;
mod expression;
mod host;
pub mod http;
mod importing;
pub mod input;
pub mod json;
mod json_schema;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod memory;
mod plugin;
pub mod problem;
pub mod secret;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod time_span;
mod trigger;
pub mod urlencoded;

pub use action::{Action, Next, Outcome, Wait, Wake};
pub use checks::{Draft, Finding, PlacedExpression};
pub use context::{Context, Level};
pub use descriptor::{ActionDescriptor, Descriptor, TriggerDescriptor, Want};
pub use expression::Expression;
pub use http::HttpError;
pub use importing::{Import, Sample, Sampling};
pub use json_schema::JsonSchemaDocument;
pub use plugin::Exports;
pub use problem::Problem;
pub use time_span::TimeSpan;
pub use trigger::{Inbound, Trigger, Verdict};

pub use flowcell_sdk_macros::{action, plugin, trigger};

/// What nearly every plugin needs: `use flowcell_sdk::prelude::*;`.
pub mod prelude {
    pub use std::time::Duration;

    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{Value, json};

    pub use crate::action::{Next, Wait, Wake};
    pub use crate::checks::{Draft, Finding};
    pub use crate::context::{Context, Level};
    pub use crate::expression::Expression;
    pub use crate::http::{HttpError, Redirects, Response};
    pub use crate::problem::Problem;
    pub use crate::time_span::TimeSpan;
    pub use crate::trigger::{Inbound, Verdict};
}

/// What the attributes' code names. No part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::action::{Answer, Outcome};
    pub use crate::checks::of_config;
    pub use crate::descriptor::{
        ActionDescriptor, Descriptor, TriggerDescriptor, Want, example, plugin_name, schema_in, schema_out,
    };
    pub use crate::importing::{import, sample, to_text};
    pub use crate::input::{parse, state};
    pub use crate::plugin::{check, unknown};
    use crate::{Context, Inbound, Problem, Verdict};

    /// The request that stands before the host's door.
    pub fn inbound(ctx: &Context) -> Inbound {
        Inbound::of(ctx)
    }

    /// A verdict as it crosses the border.
    pub fn verdict(result: Result<Verdict, Problem>) -> Result<String, Problem> {
        result?.to_json()
    }

    /// The state that `enable` leaves.
    pub fn to_state(state: &impl serde::Serialize) -> Result<Vec<u8>, Problem> {
        serde_json::to_vec(state)
            .map_err(|error| Problem::runtime(format!("the state cannot be written as JSON: {error}")))
    }
}
