//! One request of the API that was let in, as its handler sees it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::State;
use super::super::body::Payload;
use super::super::response;
use super::query::Query;
use super::route::Route;
use crate::{Caller, Problem, Room, TenantId, json};

/// A request that was let in.
pub(super) struct Call<'a> {
    pub state: &'a Arc<State>,
    pub head: &'a Parts,
    pub payload: &'a mut Payload<Incoming>,
    pub route: &'static Route,
    /// What stands in the places of the route's path.
    pub places: [&'a str; 2],
    /// The caller as it was when its request was let in; [`Call::body`] asks again.
    pub caller: Caller,
    pub tenant: TenantId,
    /// For the audit log: what it was done to, where the path does not say it.
    pub target: Option<String>,
    /// For the audit log: what came of it, in more words than the status.
    pub detail: Option<String>,
    /// What the body takes up as a value, while the request is carried out.
    pub value: Option<Room>,
}

impl Call<'_> {
    /// The parameters of the query, all of which the row names.
    pub(super) fn query(&self) -> Result<Query, Problem> {
        Query::read(self.head, self.route.query)
    }

    /// The body. A caller may have lost its access while it sent one slowly.
    pub(super) async fn body(&mut self, limit: u64) -> Result<Bytes, Problem> {
        let body = self.payload.read(self.head, limit, self.state.runtime.room(&self.tenant)?).await?;
        match self.state.runtime.still_admits(&self.caller).await? {
            true => Ok(body),
            false => Err(response::unauthorized(
                "the token that the request began with is no longer one of this host",
            )),
        }
    }

    /// The body as JSON; an empty one is null.
    pub(super) async fn json(&mut self, limit: u64) -> Result<Value, Problem> {
        let body = self.body(limit).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        let mut value = self.state.runtime.room(&self.tenant)?;
        value.grow(json::weight(&body))?;
        self.value = Some(value);
        json::read(&body).map_err(|error| response::not_json(&error))
    }

    /// The body as JSON of one form, which `form` shows to a caller that sent another.
    pub(super) async fn parsed<T: DeserializeOwned>(&mut self, limit: u64, form: &str) -> Result<T, Problem> {
        let body = self.json(limit).await?;
        serde_json::from_value(body)
            .map_err(|error| response::bad_request(format!("the body is not {form}: {error}")))
    }
}
