//! `/api/v1/tokens`: who may use the API. The answer to the caller that mints a token is the only one that has it.

use std::time::Duration;

use hyper::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::limits;
use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::{List, Nothing, Of, One};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route, optional};
use super::shape::{Shape, closed, object, text, time};
use crate::Role::Admin;
use crate::{NewToken, Problem, Role, TenantId, TokenView};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/tokens",
        operation: "ListTokens",
        permit: For(Admin),
        handler: |call| Box::pin(list(call)),
        summary: "The tokens of the tenant; an operator sees those of all tenants too",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The tokens", List(&TOKEN))],
        commands: &["tokens list"],
    },
    Route {
        method: "POST",
        path: "/api/v1/tokens",
        operation: "CreateToken",
        permit: Audited(Admin),
        handler: |call| Box::pin(create(call)),
        summary: "Mints a token, up to the caller's own role",
        query: &[],
        body: RequestBody::Required(
            "What the token is called, what it opens, and for how long.",
            Of(|shapes| {
                closed(
                    &["name", "role"],
                    json!({
                        "name": text(), "role": shapes.refer(&ROLE),
                        "expiresIn": { "type": "string", "format": "duration" },
                    }),
                )
            }),
        ),
        answers: &[(201, "The token, which is told here and never again", One(&MINTED_TOKEN))],
        commands: &["tokens create"],
    },
    Route {
        method: "GET",
        path: "/api/v1/tokens/{name}",
        operation: "ShowToken",
        permit: For(Admin),
        handler: |call| Box::pin(show(call)),
        summary: "A token, without itself",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The token", One(&TOKEN))],
        commands: &["tokens show"],
    },
    Route {
        method: "DELETE",
        path: "/api/v1/tokens/{name}",
        operation: "RemoveToken",
        permit: Audited(Admin),
        handler: |call| Box::pin(remove(call)),
        summary: "Revokes a token; it opens nothing from then on",
        query: &[optional("role", "`operator` for a token of all tenants.")],
        body: RequestBody::Nothing,
        answers: &[(204, "Revoked", Nothing)],
        commands: &["tokens delete"],
    },
];

pub(super) const ROLE: Shape =
    Shape { name: "Role", schema: |_| json!({ "enum": ["viewer", "editor", "admin", "operator"] }) };

const TOKEN: Shape = Shape {
    name: "Token",
    schema: |shapes| {
        object(
            &["name", "role", "tenant", "createdAt", "createdBy", "expiresAt"],
            json!({
                "name": text(), "role": shapes.refer(&ROLE), "tenant": { "type": ["string", "null"] },
                "createdAt": time(), "createdBy": text(),
                "expiresAt": { "type": ["string", "null"], "format": "date-time" },
            }),
        )
    },
};

const MINTED_TOKEN: Shape = Shape {
    name: "MintedToken",
    schema: |shapes| {
        let token: Value = (TOKEN.schema)(shapes);
        json!({ "allOf": [token, object(&["token"], json!({ "token": text() }))] })
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    call.query()?;
    response::list(&seen(call).await?, None)
}

async fn show(call: &Call<'_>) -> HandlerResult {
    let name = call.places[0];
    let found = seen(call).await?.into_iter().find(|token| token.name == name);
    response::json(StatusCode::OK, &found.ok_or_else(|| unknown(name))?)
}

async fn create(call: &mut Call<'_>) -> HandlerResult {
    let TokenRequest { name, role, expires_in } =
        call.parsed(limits::SMALL_BYTES, "{\"name\", \"role\"}").await?;
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

/// `?role=operator` is about the tokens of all tenants.
async fn remove(call: &mut Call<'_>) -> HandlerResult {
    let query = call.query()?;
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
    // A day, as in P90D, has 24 hours here.
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
struct TokenRequest {
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
