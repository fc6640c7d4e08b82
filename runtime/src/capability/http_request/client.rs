//! A tenant's way out: hop after hop, each through the policy, over pooled connections, within its quotas and its time.
//!
//! A request is given to a [`pool`] once. It is given a second time only when it went over an old connection that ended
//! without a word, and may be repeated by the nature of its method.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use tokio::sync::Semaphore;

use super::account::{Account, Counts};
use super::answer;
use super::body::{Outgoing, Progress};
use super::error::{self, Code, Failure, HttpError};
use super::headers::{self, Dropped};
use super::message::{Hop, Redirects, Request, Response, SendOptions};
use super::pool::{self, Generation, Shared};
use super::redirect;
use super::target::Target;
use crate::config::{AllowRule, METHODS, Quota};
use crate::id::TenantId;

/// One tenant's way out.
pub(crate) struct Egress {
    account: Account,
    pub(super) shared: Arc<Shared>,
    lookups: Arc<Semaphore>,
    generation: RwLock<Arc<Generation>>,
}

/// A request that has been read and found sound.
struct Plan {
    method: Method,
    target: Target,
    redirects: u32,
    body_limit: u64,
    timeout: Duration,
}

/// One request on its way to one target.
struct Outbound<'a> {
    target: &'a Target,
    method: &'a Method,
    headers: &'a [(String, String)],
    dropped: Dropped,
    body: Option<&'a Bytes>,
    until: Instant,
    progress: &'a Arc<Progress>,
}

impl Egress {
    /// A tenant's way out under these rules.
    pub(crate) fn new(tenant: TenantId, rules: &[AllowRule], quota: &Quota, shared: Arc<Shared>) -> Self {
        let lookups = Arc::new(Semaphore::new(shared.limits.lookups));
        Self {
            account: Account::new(tenant, quota),
            generation: RwLock::new(Generation::new(rules, &shared, &lookups)),
            lookups,
            shared,
        }
    }

    /// Other rules from now on. What is under way ends under the old ones; no connection of theirs is used again.
    #[allow(dead_code, reason = "rules come with the start: no command changes those of a running host")]
    pub(crate) fn set_rules(&self, rules: &[AllowRule]) {
        let generation = Generation::new(rules, &self.shared, &self.lookups);
        *self.generation.write().unwrap_or_else(PoisonError::into_inner) = generation;
    }

    /// What has happened since the start.
    pub(crate) fn counters(&self) -> Counts {
        self.account.counts()
    }

    /// Sends the request and reads the whole answer, at the latest until `deadline`.
    pub(crate) async fn send(
        &self,
        request: Request,
        options: SendOptions,
        deadline: Instant,
    ) -> Result<Response, HttpError> {
        let begun = Instant::now();
        let progress = Arc::new(Progress::default());
        let result = match self.plan(&request, &options) {
            Ok(plan) => self.within(&request, plan, &options, begun, deadline, &progress).await,
            Err(failure) => Err(failure),
        };
        result.map_err(|failure| {
            if failure.code == Code::Blocked {
                self.account.blocked(&failure.detail);
            }
            failure.sent(progress.sent())
        })
    }

    /// Everything about a request that can be wrong without asking anybody.
    fn plan(&self, request: &Request, options: &SendOptions) -> Result<Plan, Failure> {
        let limits = &self.shared.limits;
        let redirects = options.max_redirects.unwrap_or(limits.redirects);
        if redirects > limits.redirects {
            return Err(Failure::invalid(format!(
                "maxRedirects is {redirects}, at most {} are followed",
                limits.redirects
            )));
        }
        if options.timeout_ms == Some(0) {
            return Err(Failure::invalid("timeoutMs is 0: nothing is done in no time"));
        }
        self.account.check_body(request.body.as_ref().map_or(0, Bytes::len) as u64)?;
        let most = self.account.body_limit();
        Ok(Plan {
            method: parse_method(&request.method)?,
            target: Target::parse(&request.url, limits.url)?,
            redirects,
            body_limit: options.max_response_bytes.map_or(most, |wanted| wanted.min(most)),
            timeout: options.timeout(limits.request_timeout),
        })
    }

    async fn within(
        &self,
        request: &Request,
        plan: Plan,
        options: &SendOptions,
        begun: Instant,
        deadline: Instant,
        progress: &Arc<Progress>,
    ) -> Result<Response, Failure> {
        let timeout = plan.timeout;
        let until = begun.checked_add(timeout).map_or(deadline, |until| until.min(deadline));
        let exchange = self.follow(request, plan, options.redirects, begun, until, progress);
        match tokio::time::timeout_at(until.into(), exchange).await {
            Ok(result) => result,
            Err(_) if until == deadline => {
                Err(Failure::new(Code::Timeout, "the step's time was up before the answer was there"))
            }
            Err(_) => {
                let detail = format!("no whole answer within the timeout of {} ms", timeout.as_millis());
                Err(Failure::new(Code::Timeout, detail))
            }
        }
    }

    async fn follow(
        &self,
        request: &Request,
        plan: Plan,
        redirects: Redirects,
        begun: Instant,
        until: Instant,
        progress: &Arc<Progress>,
    ) -> Result<Response, Failure> {
        let generation = self.generation();
        let Plan { mut target, mut method, .. } = plan;
        let mut body = request.body.as_ref();
        let mut dropped = Dropped::default();
        let mut hops: Vec<Hop> = Vec::new();
        loop {
            let outbound = Outbound {
                target: &target,
                method: &method,
                headers: &request.headers,
                dropped,
                body,
                until,
                progress,
            };
            let answer = self.hop(&generation, outbound).await.map_err(|failure| after(failure, &hops))?;
            let (status, limit) = (answer.status(), self.shared.limits.url);
            let next = match redirects {
                Redirects::Manual => None,
                _ => redirect::next(&target, &method, dropped, status, answer.headers(), limit),
            };
            let Some(next) = next else {
                let limits = &self.shared.limits;
                let way = (target, hops, begun);
                return answer::read(answer, plan.body_limit, limits, &self.account, way).await;
            };
            if redirects == Redirects::Error {
                let detail = format!(
                    "{} redirects to {} ({status}), and `redirects` is `error`",
                    target.as_str(),
                    next.target.as_str()
                );
                return Err(Failure::new(Code::TooManyRedirects, detail));
            }
            if hops.len() as u64 >= u64::from(plan.redirects) {
                let detail = format!(
                    "more than {} redirects; the last one leads to {}",
                    plan.redirects,
                    next.target.as_str()
                );
                return Err(Failure::new(Code::TooManyRedirects, detail));
            }
            hops.push(Hop { status: status.as_u16(), url: target.into_string() });
            body = body.filter(|_| next.body);
            (target, method, dropped) = (next.target, next.method, next.dropped);
        }
    }

    /// One request and the head of its answer.
    async fn hop(
        &self,
        generation: &Generation,
        out: Outbound<'_>,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        let subject = out.target.subject(out.method);
        let access = generation.dialer.policy.admit(&subject)?;
        let (request, bytes) = self.request(&out)?;
        self.account.turn(out.until).await?;
        self.account.send(bytes)?;
        let client = generation.client(access, &self.shared.limits);
        let begun = generation.dialer.begun();
        let mut result = client.request(request).await;
        if let Err(error) = &result
            // A connection from the pool may be closed by the other side just as it is used. Asking again is harmless
            // for a method that may be repeated, as the standard says; any other is left to who asked.
            && out.method.is_idempotent()
            && out.progress.handed()
            && generation.dialer.begun() == begun
            && pool::is_stale(error)
        {
            let (request, bytes) = self.request(&out)?;
            self.account.send(bytes)?;
            result = client.request(request).await;
        }
        let answer = result.map_err(|error| match pool::denial(&error) {
            Some(denial) if denial.wants_rule => generation.dialer.policy.no_rule(&subject).into(),
            _ => error::of_client(&error, out.target.authority()),
        })?;
        out.progress.answered();
        answer::check_head(&answer, out.target, &self.shared.limits, &self.account)?;
        Ok(answer)
    }

    /// The request as it is sent, and about how many bytes it has.
    fn request(&self, out: &Outbound<'_>) -> Result<(hyper::Request<Outgoing>, u64), Failure> {
        let (mut headers, head) = headers::build(out.headers, out.dropped, &self.shared.limits)?;
        let body = out.body.cloned().unwrap_or_default();
        if body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(out.method) {
            // Without it some servers wait for a body that never comes, or refuse.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let bytes = head + out.target.as_str().len() + body.len();
        let mut request = hyper::Request::new(Outgoing::new(body, out.progress.clone()));
        *request.method_mut() = out.method.clone();
        *request.uri_mut() = out.target.uri().clone();
        *request.headers_mut() = headers;
        Ok((request, bytes as u64))
    }

    pub(super) fn generation(&self) -> Arc<Generation> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn parse_method(text: &str) -> Result<Method, Failure> {
    METHODS.iter().find(|method| method.as_str() == text).cloned().ok_or_else(|| {
        Failure::invalid(format!(
            "`{}` is not a method: use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS",
            text.escape_debug().take(40).collect::<String>()
        ))
    })
}

/// Tells a failure that it happened on the way and not at the beginning.
fn after(mut failure: Failure, hops: &[Hop]) -> Failure {
    if let Some(hop) = hops.last() {
        failure.detail += &format!(" (redirected there by {})", hop.url);
    }
    failure
}
