//! The schema of an action's input or a trigger's configuration, and where values are compared with it.
//!
//! What ships with the host is trusted, and a tenant's plain schema is bounded: these are judged here. Any other one is
//! judged in the schema guest, on the account of who asks.

use std::sync::Arc;

use flowcell_plugin_json_schema::{self as json_schema, Finding, MEETINGS, Plain};
use serde_json::Value;

use super::schemas::Account;

/// Who wrote a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// It ships with the host.
    Host,
    /// Anybody.
    Tenant,
}

/// A schema of a plugin.
#[derive(Debug)]
pub(crate) struct Schema {
    source: Value,
    judged: Judged,
}

#[derive(Debug)]
enum Judged {
    /// Of a plugin that ships with the host.
    Here(json_schema::Schema),
    /// While the value is not large.
    WhilePlain(Plain, Arc<str>),
    InTheGuest(Arc<str>),
}

impl Schema {
    /// `room`: how many parts of plain schemas the plugin may still have. The error is a sentence about the schema; of one that
    /// the guest judges, [`Schema::check`] says what is wrong with it.
    pub(super) fn compile(source: &Value, author: Author, room: &mut usize) -> Result<Self, String> {
        let judged = match author {
            Author::Host => Judged::Here(json_schema::Schema::compile(source.clone())?),
            Author::Tenant => match Plain::compile(source, room).transpose()? {
                Some(plain) => Judged::WhilePlain(plain, source.to_string().into()),
                None => Judged::InTheGuest(source.to_string().into()),
            },
        };
        Ok(Self { source: source.clone(), judged })
    }

    /// What is wrong with the schema itself.
    pub(super) async fn check(&self, account: &Account) -> Result<(), String> {
        match &self.judged {
            Judged::Here(_) | Judged::WhilePlain(..) => Ok(()),
            Judged::InTheGuest(text) => account.check(text).await,
        }
    }

    /// What is wrong with a value, as far as it is known: null stands for what is not, at the JSON pointers `unknown`. A schema
    /// that cannot be judged is something wrong with the whole value.
    pub(super) async fn findings(
        &self,
        account: &Account,
        value: &Value,
        unknown: &[String],
    ) -> Vec<Finding> {
        let text = match &self.judged {
            Judged::Here(schema) => return schema.findings(value, unknown),
            Judged::WhilePlain(plain, text) => match plain.findings(value, unknown, &mut MEETINGS.clone()) {
                Some(findings) => return findings,
                None => text,
            },
            Judged::InTheGuest(text) => text,
        };
        match account.validate(text, &value.to_string(), unknown).await {
            Ok(findings) => findings,
            Err(says) => vec![Finding { at: String::new(), says }],
        }
    }

    /// The schemas that a plugin judges by later, of a value: a JSON pointer and why one cannot be used. The schema marks their
    /// parameters with `"format": "json-schema"`.
    pub(super) async fn wrong_schemas(&self, account: &Account, value: &Value) -> Vec<Finding> {
        let parameters = self.source["properties"].as_object().into_iter().flatten();
        let marked = parameters.filter(|(_, schema)| schema["format"] == "json-schema");
        let mut findings = vec![];
        for (name, _) in marked {
            let Some(schema) = value.get(name).filter(|schema| !schema.is_null()) else { continue };
            if let Err(says) = account.check(&schema.to_string()).await {
                findings.push(Finding { at: format!("/{name}"), says });
            }
        }
        findings
    }
}
