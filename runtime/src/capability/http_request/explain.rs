//! `policy explain`: which rule decides about a request, told by the function that decides.

use std::net::IpAddr;

use hyper::Method;
use serde::Serialize;

use super::client::Egress;
use super::policy::{Access, Denial, Ground, Policy, Subject};
use super::target::Target;
use crate::config::METHODS;

/// The decision about one request, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Explanation {
    pub allowed: bool,
    /// What decided, in a sentence.
    pub reason: String,
    /// The rule that lets it out, as it stands in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The lines that would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<String>,
    /// What the host resolves to now, each judged.
    pub addresses: Vec<AddressVerdict>,
}

/// One address of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AddressVerdict {
    pub address: IpAddr,
    pub allowed: bool,
    pub reason: String,
}

impl Egress {
    /// Decides about a request without sending it. Names are resolved.
    pub(crate) async fn explain(&self, method: &str, url: &str) -> Explanation {
        let Some(method) = METHODS.iter().find(|known| known.as_str() == method) else {
            return Explanation::refused(format!(
                "`{method}` is not a method: use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"
            ));
        };
        match Target::parse(url, self.shared.limits.url) {
            Ok(target) => self.judge_all(method, &target).await,
            Err(failure) => Explanation::refused(failure.detail),
        }
    }

    async fn judge_all(&self, method: &Method, target: &Target) -> Explanation {
        let generation = self.generation();
        let policy = generation.policy();
        let subject = target.subject(method);
        let access = match policy.admit(&subject) {
            Ok(access) => access,
            Err(denial) => return Explanation::denied(denial, Vec::new()),
        };
        match generation.anonymous.dialer.resolve(&target.host(), target.port()).await {
            Ok(addresses) => {
                let judged = addresses
                    .iter()
                    .map(|address| (address.ip(), policy.judge(*address, access).map(|(_, ground)| ground)));
                sum_up(policy, &subject, access, judged.collect())
            }
            Err(error) => Explanation {
                // The rules let it out; where it ends is judged when it is sent.
                allowed: access.rule.is_some(),
                reason: match policy.show_rule(access) {
                    Some(rule) => format!("the rule {rule} allows it, but now {error}"),
                    None => format!("only addresses in the tenant's networks are allowed, and {error}"),
                },
                rule: policy.show_rule(access),
                add: None,
                addresses: Vec::new(),
            },
        }
    }
}

fn sum_up(
    policy: &Policy,
    subject: &Subject<'_>,
    access: Access,
    judged: Vec<(IpAddr, Result<Ground, Denial>)>,
) -> Explanation {
    let addresses =
        judged.iter().map(|(address, result)| judged_one(policy, access, *address, result)).collect();
    let Some(ground) = judged.iter().find_map(|(_, result)| result.as_ref().ok()) else {
        let denial = match judged.into_iter().find_map(|(_, result)| result.err()) {
            Some(denial) if !denial.wants_rule => denial,
            _ => policy.no_rule(subject),
        };
        return Explanation::denied(denial, addresses);
    };
    let rule = show(policy, access, ground);
    Explanation {
        allowed: true,
        reason: format!("the rule {rule} allows it"),
        rule: Some(rule),
        add: None,
        addresses,
    }
}

fn judged_one(
    policy: &Policy,
    access: Access,
    address: IpAddr,
    result: &Result<Ground, Denial>,
) -> AddressVerdict {
    match result {
        Ok(ground) => AddressVerdict {
            address,
            allowed: true,
            reason: format!("the rule {} allows it", show(policy, access, ground)),
        },
        Err(denial) => AddressVerdict { address, allowed: false, reason: denial.reason.clone() },
    }
}

fn show(policy: &Policy, access: Access, ground: &Ground) -> String {
    match ground {
        Ground::Network(network) => format!("network = \"{network}\""),
        Ground::Public => policy.show_rule(access).unwrap_or_default(),
    }
}

impl Explanation {
    fn denied(denial: Denial, addresses: Vec<AddressVerdict>) -> Self {
        Self { allowed: false, reason: denial.reason, rule: None, add: denial.add, addresses }
    }

    fn refused(reason: String) -> Self {
        Self { allowed: false, reason, rule: None, add: None, addresses: Vec::new() }
    }
}
