//! A tenant's way out: hop after hop, each through the policy, over pooled connections, within its quotas and its time.
//!
//! What is done on one hop is in [`hop`](super::hop).

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use tokio::sync::Semaphore;

use super::account::{Account, Counts};
use super::answer;
use super::authorize::Attachments;
use super::body::Progress;
use super::connect::Means;
use super::cookies::Cookies;
use super::error::{Code, Failure, HttpError};
use super::headers;
use super::headers::DroppedHeaders;
use super::hop::Outbound;
use super::message::{Hop, Redirects, Request, Response, SendOptions};
use super::pool::{Generation, Shared};
use super::redirect;
use super::target::Target;
use super::tls::Trusted;
use crate::capability::vault::Credentials;
use crate::config::{AllowRule, METHODS, Quota};
use crate::id::TenantId;
use crate::redact::Redactor;

/// One tenant's way out.
pub(crate) struct Egress {
    pub(super) account: Account,
    pub(super) shared: Arc<Shared>,
    means: Means,
    trusted: Trusted,
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

/// One request on its whole way.
struct Exchange<'a> {
    request: &'a Request,
    attached: Attachments,
    cookies: bool,
    begun: Instant,
    until: Instant,
    progress: &'a Arc<Progress>,
}

impl Egress {
    /// A tenant's way out under these rules.
    /// It trusts these certificates beside the machine's.
    pub(crate) fn new(
        tenant: TenantId,
        rules: &[AllowRule],
        quota: &Quota,
        shared: Arc<Shared>,
        trusted: Trusted,
    ) -> Self {
        let lookups = Arc::new(Semaphore::new(shared.limits.lookups));
        let means = Means { tenant: tenant.clone(), lookups };
        Self {
            account: Account::new(tenant, quota),
            generation: RwLock::new(Generation::new(rules, &shared, &means, &trusted)),
            means,
            shared,
            trusted,
        }
    }

    /// Other rules from now on. What is under way ends under the old ones; no connection of theirs is used again.
    #[allow(dead_code, reason = "rules come with the start: no command changes those of a running host")]
    pub(crate) fn set_rules(&self, rules: &[AllowRule]) {
        let generation = Generation::new(rules, &self.shared, &self.means, &self.trusted);
        *self.generation.write().unwrap_or_else(PoisonError::into_inner) = generation;
    }

    /// What has happened since the start.
    pub(crate) fn counters(&self) -> Counts {
        self.account.counts()
    }

    /// Sends the request, with what its credentials add, and reads the whole answer, at the latest until `deadline`.
    pub(crate) async fn send(
        &self,
        request: Request,
        options: SendOptions,
        credentials: Option<&Credentials>,
        deadline: Instant,
    ) -> Result<Response, HttpError> {
        let begun = Instant::now();
        let progress = Arc::new(Progress::default());
        let planned = self
            .plan(&request, &options)
            .and_then(|plan| Ok((plan, self.attached(&request, &options, credentials)?)));
        let result = match planned {
            Ok((plan, attached)) => {
                let last = with_time_to_tell(begun, deadline);
                let until = begun.checked_add(plan.timeout).map_or(last, |until| until.min(last));
                let cookies = options.cookies;
                let sending =
                    Exchange { request: &request, attached, cookies, begun, until, progress: &progress };
                self.within(sending, plan, options.redirects, until == last).await
            }
            Err(failure) => Err(failure),
        };
        result.map_err(|failure| {
            if failure.code == Code::Blocked {
                self.account.blocked(&failure.detail);
            }
            failure.sent(progress.sent())
        })
    }

    fn attached(
        &self,
        request: &Request,
        options: &SendOptions,
        credentials: Option<&Credentials>,
    ) -> Result<Attachments, Failure> {
        let body = usize::try_from(self.account.body_limit()).unwrap_or(usize::MAX);
        Attachments::of(request, options, credentials, (&self.shared.limits, body))
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
        sending: Exchange<'_>,
        plan: Plan,
        redirects: Redirects,
        ends_with_step: bool,
    ) -> Result<Response, Failure> {
        let timeout = plan.timeout;
        let mut redactor = sending.attached.redactor();
        let until = sending.until.into();
        let result = match tokio::time::timeout_at(
            until,
            self.follow(&sending, plan, redirects, &mut redactor),
        )
        .await
        {
            Ok(result) => result,
            Err(_) if ends_with_step => {
                let detail = format!(
                    "no whole answer within {} ms, which is all that the step has (tenant.quota.step_time)",
                    sending.until.saturating_duration_since(sending.begun).as_millis()
                );
                Err(Failure::new(Code::Timeout, detail))
            }
            Err(_) => {
                let detail = format!("no whole answer within the timeout of {} ms", timeout.as_millis());
                Err(Failure::new(Code::Timeout, detail))
            }
        };
        redacted(result, &redactor)
    }

    async fn follow(
        &self,
        sending: &Exchange<'_>,
        plan: Plan,
        redirects: Redirects,
        redactor: &mut Redactor,
    ) -> Result<Response, Failure> {
        let generation = self.generation();
        let Exchange { request, attached, begun, until, progress, .. } = sending;
        let limit = self.shared.limits.url;
        let mut method = plan.method;
        let mut target = plan.target;
        if !attached.is_empty() {
            // As the guest wrote it, so that a denial shows no secret.
            generation.policy().admit(&target.subject(&method))?;
            attached.admit(&target)?;
            target = attached.target(target, limit)?;
        }
        let mut body = request.body.as_ref();
        let mut dropped = DroppedHeaders::default();
        let mut hops: Vec<Hop> = Vec::new();
        let mut cookies = sending.cookies.then(Cookies::default);
        loop {
            let outbound = Outbound {
                target: &target,
                method: &method,
                headers: &request.headers,
                dropped,
                attached,
                body,
                cookies: cookies.as_ref(),
                until: *until,
                progress,
            };
            let answer =
                self.hop(&generation, outbound, redactor).await.map_err(|failure| after(failure, &hops))?;
            let status = answer.status();
            let next = match redirects {
                Redirects::Manual => None,
                _ => redirect::next(&target, &method, dropped, status, answer.headers(), limit),
            };
            let Some(mut next) = next else {
                let limits = &self.shared.limits;
                let way = (target, hops, *begun);
                return answer::read(answer, plan.body_limit, limits, &self.account, way).await;
            };
            if let Some(cookies) = &mut cookies {
                cookies.take(target.url(), answer.headers());
            }
            next.target.hide(redactor);
            if redirects == Redirects::Error {
                let detail = format!(
                    "{} redirects to {} ({status}), and `redirects` is `error`",
                    target.as_str(),
                    next.target.as_str()
                );
                let failure = Failure::new(Code::TooManyRedirects, detail);
                return Err(failure.of_answer(status.as_u16(), headers::read(answer.headers())));
            }
            if hops.len() as u64 >= u64::from(plan.redirects) {
                let detail = format!(
                    "more than {} redirects; the last one leads to {}",
                    plan.redirects,
                    next.target.as_str()
                );
                let failure = Failure::new(Code::TooManyRedirects, detail);
                return Err(failure.of_answer(status.as_u16(), headers::read(answer.headers())));
            }
            hops.push(Hop { status: status.as_u16(), url: target.into_string() });
            body = body.filter(|_| next.body);
            target = attached.next_target(next.target, next.dropped, limit)?;
            (method, dropped) = (next.method, next.dropped);
        }
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

/// The result without what was secret in the request, be it an answer or a failure.
fn redacted(result: Result<Response, Failure>, redactor: &Redactor) -> Result<Response, Failure> {
    if redactor.is_empty() {
        return result;
    }
    match result {
        Ok(mut response) => {
            for (name, value) in &mut response.headers {
                redactor.text(name);
                redactor.text(value);
            }
            if let Some(shown) = redactor.without(&response.body) {
                response.body = shown.into();
            }
            Ok(response)
        }
        Err(mut failure) => {
            redactor.text(&mut failure.detail);
            for (name, value) in failure.answer.iter_mut().flat_map(|answer| &mut answer.headers) {
                redactor.text(name);
                redactor.text(value);
            }
            Err(failure)
        }
    }
}

/// How much of a step's time is its plugin's, to say that the other side has not answered.
const TIME_TO_TELL: Duration = Duration::from_millis(500);

/// When a request of a step that is ended at `deadline` is given up.
fn with_time_to_tell(begun: Instant, deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(begun);
    begun + (left - TIME_TO_TELL.min(left / 8))
}
