//! What asks another system for a call back, and takes that back later: a step that waits for one ([`action`]), and a
//! trigger that starts a run for each ([`trigger`]).
//!
//! Both write the same two requests, `subscribe` and `unsubscribe`; the second one is filled from the answer to the first
//! ([`template`]) and sent when nobody waits any more ([`subscription`]).

mod action;
mod subscription;
mod template;
mod trigger;

flowcell_sdk::plugin! {
    actions: [action::http_webhook],
    triggers: [trigger::http_webhook],
    title: "HTTP webhook",
    summary: "Subscribes to something that calls back: a step that waits for it, and a trigger that starts runs.",
}

#[cfg(test)]
mod tests;
