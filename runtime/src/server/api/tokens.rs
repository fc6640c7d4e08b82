//! `/api/v1/tokens`: who may use the API. A token is told once, to whoever mints it.

use std::time::Duration;

use hyper::StatusCode;
use jiff::SignedDuration;
use serde_json::json;

use super::super::limits;
use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;
use crate::{NewToken, Problem, Role, TenantId, TokenView};

/// The tenant's; an operator sees those of all tenants too.
pub(super) async fn list(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    response::list(&seen(call).await?, None)
}

pub(super) async fn show(call: &Call<'_>) -> Outcome {
    let name = call.places[0];
    let found = seen(call).await?.into_iter().find(|token| token.name == name);
    response::json(StatusCode::OK, &found.ok_or_else(|| unknown(name))?)
}

/// The body is `{name, role, expiresIn}`.
pub(super) async fn create(call: &mut Call<'_>) -> Outcome {
    let body = call.json(limits::SMALL_BYTES).await?;
    let Wanted { name, role, expires_in } = serde_json::from_value(body)
        .map_err(|error| response::bad_request(format!("the body is not {{\"name\", \"role\"}}: {error}")))?;
    let expires_in = expires_in.as_deref().map(life).transpose()?;
    call.target = Some(name.clone());
    let wanted = NewToken { name, role, expires_in };
    let (view, token) = call.state.runtime.mint_token(&call.tenant, &call.caller, wanted).await?;
    let end = view.expires_at.map_or("has no end".to_owned(), |end| format!("ends at {end}"));
    call.detail = Some(format!("{} {end}", role.as_str()));
    let mut answer = serde_json::to_value(&view).map_err(|error| response::internal(&error))?;
    answer["token"] = json!(token);
    response::json(StatusCode::CREATED, &answer)
}

/// `?role=operator` is about those of all tenants.
pub(super) async fn remove(call: &mut Call<'_>) -> Outcome {
    let query = Query::read(call.head, &["role"])?;
    let of_all = match query.text("role") {
        None => false,
        Some("operator") if call.caller.role == Role::Operator => true,
        Some("operator") => return Err(response::forbidden("an operator revokes the tokens of operators")),
        Some(other) => {
            let sentence =
                format!("parameter `role`: `{other}` is not `operator`; leave it out for any other");
            return Err(response::bad_request(sentence));
        }
    };
    let (name, tenant) = (call.places[0], of_tenant(call, of_all));
    match call.state.runtime.revoke_token(tenant, name).await? {
        true => Ok(response::empty(StatusCode::NO_CONTENT)),
        false => Err(unknown(name)),
    }
}

async fn seen(call: &Call<'_>) -> Result<Vec<TokenView>, Problem> {
    let runtime = &call.state.runtime;
    let mut tokens = runtime.tokens(of_tenant(call, false)).await?;
    if call.caller.role == Role::Operator {
        tokens.extend(runtime.tokens(of_tenant(call, true)).await?);
    }
    Ok(tokens)
}

fn of_tenant<'a>(call: &'a Call<'_>, of_all: bool) -> Option<&'a TenantId> {
    (!of_all).then_some(&call.tenant)
}

fn life(text: &str) -> Result<Duration, Problem> {
    // Days, as in P90D, are of 24 hours here.
    let span = text.parse::<jiff::Span>().ok().filter(|_| text.starts_with('P'));
    let span = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    let life = span.filter(SignedDuration::is_positive).and_then(|life| Duration::try_from(life).ok());
    life.ok_or_else(|| {
        response::bad_request(format!(
            "`expiresIn`: `{text}` is not an ISO 8601 duration such as P90D or PT12H"
        ))
    })
}

fn unknown(name: &str) -> Problem {
    response::no_such(format!("token {name}"))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wanted {
    name: String,
    role: Role,
    expires_in: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_iso_8601_and_longer_than_nothing() {
        assert_eq!(life("P90D").unwrap(), Duration::from_secs(90 * 86_400));
        assert_eq!(life("PT12H").unwrap(), Duration::from_secs(43_200));
        for wrong in ["90 days", "P", "PT0S", "-P1D", "P1M", "P1Y", ""] {
            assert_eq!(life(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
