//! Text -> documents: the entrance of every flow and trigger, whether from a file, a request or the journal.

use std::sync::Arc;

use super::contract::Contracts;
use super::definition::{self, Flow};
use super::finding::Finding;
use super::node::{self, Node};
use super::reader::Reader;
use super::trigger::{self, TriggerDocument};
use crate::nearest::nearest;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// One document.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "documents are few and soon taken apart")]
pub enum Document {
    /// With the key `document`.
    Flow(Arc<Flow>),
    /// With the key `trigger`.
    Trigger(TriggerDocument),
}

impl Document {
    /// What is odd about it and does not keep it from running.
    pub fn warnings(&self) -> &[Finding] {
        match self {
            Self::Flow(flow) => &flow.warnings,
            Self::Trigger(trigger) => &trigger.warnings,
        }
    }

    /// The file as the caller of [`read`] named it.
    pub fn file(&self) -> &str {
        match self {
            Self::Flow(flow) => &flow.file,
            Self::Trigger(trigger) => &trigger.file,
        }
    }

    /// The same document, read with what the schemas of its plugins say of it. One that has been read so stays as it is.
    pub(crate) fn bound(&self, contracts: &dyn Contracts) -> Result<Self, Vec<Finding>> {
        match self {
            Self::Flow(flow) => match &flow.written {
                Some(root) => document(root, &flow.file, Some(contracts)),
                None => Ok(self.clone()),
            },
            Self::Trigger(trigger) => document(trigger.root(), &trigger.file, Some(contracts)),
        }
    }
}

/// Reads YAML or JSON text, which may hold several documents. `file` names it in findings.
///
/// # Errors
/// With everything that was found in all documents, warnings included, when one of them cannot be used.
pub fn read(text: &str, file: &str) -> Result<Vec<Document>, Vec<Finding>> {
    read_each(text, file, None)
}

/// The same for documents whose plugins are known.
pub(crate) fn read_with(
    text: &str,
    file: &str,
    contracts: &dyn Contracts,
) -> Result<Vec<Document>, Vec<Finding>> {
    read_each(text, file, Some(contracts))
}

fn read_each(
    text: &str,
    file: &str,
    contracts: Option<&dyn Contracts>,
) -> Result<Vec<Document>, Vec<Finding>> {
    let roots = node::parse(text, file).map_err(|finding| vec![finding])?;
    let mut documents = Vec::new();
    let mut findings = Vec::new();
    let mut failed = false;
    for root in &roots {
        match document(root, file, contracts) {
            Ok(document) => {
                findings.extend_from_slice(document.warnings());
                documents.push(document);
            }
            Err(found) => {
                failed = true;
                findings.extend(found);
            }
        }
    }
    if failed { Err(findings) } else { Ok(documents) }
}

fn document(root: &Node, file: &str, contracts: Option<&dyn Contracts>) -> Result<Document, Vec<Finding>> {
    if root.get("trigger").is_some() {
        return trigger::read(root, file, contracts).map(Document::Trigger);
    }
    if root.get("document").is_some() {
        return definition::read(root, file, contracts).map(|flow| Document::Flow(Arc::new(flow)));
    }
    let mut reader = Reader::new(file);
    if let Some(entries) = reader.entries(root, "a document") {
        let near = entries
            .iter()
            .find_map(|entry| Some((entry, nearest(&entry.key, ["document", "trigger"].into_iter())?)));
        match near {
            Some((entry, near)) => {
                reader.error(entry.at, format!("unknown key `{}`: did you mean `{near}`?", entry.key));
            }
            None => reader.error(
                root.at,
                "this is neither a flow, which has the key `document`, nor a trigger, which has the key `trigger`",
            ),
        }
    }
    Err(reader.finish().findings)
}
