//! What [`super::flows`] and [`super::triggers`] share: the one document of a body, deployed under the name of its address.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::super::limits;
use super::super::response::{self, HandlerResult};
use super::Call;
use crate::{DeployError, Document, Finding, Problem};

impl Call<'_> {
    /// The body as the one document that it must be.
    pub(super) async fn document(&mut self) -> Result<Document, Problem> {
        let body = self.body(limits::DOCUMENT_BYTES).await?;
        let text = std::str::from_utf8(&body)
            .map_err(|error| response::bad_request(format!("the document is not UTF-8: {error}")))?;
        let mut documents = crate::read(text, "body").map_err(|findings| refused(&findings))?;
        match (documents.pop(), documents.len()) {
            (Some(document), 0) => Ok(document),
            (None, _) => Err(response::bad_request("the body holds no document")),
            (Some(_), others) => Err(response::bad_request(format!(
                "the body holds {} documents; send each to its own address",
                others + 1
            ))),
        }
    }

    /// Deploys a document, which must be called what the address says. Gives the warnings.
    pub(super) async fn deploy(
        &self,
        document: Document,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<Finding>, Problem> {
        let [expected_namespace, expected_name] = self.places;
        if (namespace, name) != (expected_namespace, expected_name) {
            return Err(response::bad_request(format!(
                "the document is called {namespace}/{name}, the address says {expected_namespace}/{expected_name}"
            )));
        }
        self.state.runtime.deploy(&self.tenant, vec![document]).await.map_err(|error| match error {
            DeployError::Findings(findings) => refused(&findings),
            DeployError::Problem(problem) => problem,
        })
    }
}

/// The answer to a deployment: what is deployed now, and the warnings about it.
pub(super) fn answer<T: Serialize>(is_new: bool, view: T, warnings: Vec<Finding>) -> HandlerResult {
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    response::json(status, &Deployment { view, warnings })
}

#[derive(Serialize)]
struct Deployment<T> {
    #[serde(flatten)]
    view: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Finding>,
}

/// A document that cannot be used, with every reason and its place.
fn refused(findings: &[Finding]) -> Problem {
    let first = findings.iter().find(|finding| finding.is_error()).or(findings.first());
    let detail = match first {
        None => "the document cannot be used".to_owned(),
        Some(first) => {
            let more = match findings.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more in data.findings)"),
            };
            format!("line {}, column {}: {}{more}", first.line, first.column, first.message)
        }
    };
    Problem::new(crate::problem::kind::VALIDATION, "The document is not valid", 400)
        .detail(detail)
        .data(json!({ "findings": findings }))
}
