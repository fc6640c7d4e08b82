//! What judges a request to a hook: the trigger's plugin, in a sandbox. What follows from its verdict, the room of inbound
//! requests decides.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::call::{host_failed, limits, trigger_credentials};
use super::sandboxes::Sandboxes;
use crate::capability::log::LogLine;
use crate::engine::lifecycle::unavailable;
use crate::engine::tenant::Tenant;
use crate::flow::Needs;
use crate::host::{Arrival, Call, CallLimits, HostError, Inbound, Plugin, Reach};
use crate::id::mint_id;
use crate::problem::Problem;

/// How long a trigger may judge one request.
const RECEIVE_TIME: Duration = Duration::from_secs(5);

/// Judges the requests to one trigger.
pub(in crate::engine) trait Judge: Send + Sync {
    /// The verdict, JSON text; wit/trigger.wit says what is in it. The error is for the caller.
    fn judge<'a>(&'a self, tenant: &'a Tenant, inbound: Inbound) -> BoxFuture<'a, Result<String, Problem>>;
}

/// The plugin of a trigger, with the trigger's configuration.
pub(in crate::engine) struct PluginJudge {
    pub sandboxes: Arc<Sandboxes>,
    pub plugin: Arc<Plugin>,
    /// Which of the plugin's triggers.
    pub trigger: String,
    /// `namespace/name` of the trigger that is deployed.
    pub name: String,
    /// JSON text.
    pub config: String,
    /// What the trigger names of the vault.
    pub needs: Arc<Needs>,
}

impl Judge for PluginJudge {
    fn judge<'a>(&'a self, tenant: &'a Tenant, inbound: Inbound) -> BoxFuture<'a, Result<String, Problem>> {
        Box::pin(self.ask(tenant, inbound))
    }
}

impl PluginJudge {
    async fn ask(&self, tenant: &Tenant, inbound: Inbound) -> Result<String, Problem> {
        let Self { sandboxes, plugin, trigger, name, config, needs } = self;
        let arrival = Arrival {
            request: inbound,
            received_ms: sandboxes.clock.now().as_millisecond().try_into().unwrap_or(0),
            trigger: name.clone(),
        };
        let reach = Reach::Judge {
            arrival,
            expressions: sandboxes.expressions(tenant),
            credentials: trigger_credentials(tenant, needs),
        };
        let limits = CallLimits { wall: RECEIVE_TIME, ..limits(tenant) };
        let call = Call { plugin, name: trigger, reach, limits };
        let received = sandboxes.host.receive(call, config).await.map_err(|error| {
            if let HostError::CpuPerMinute { .. } = error {
                return host_failed(tenant, &error);
            }
            tracing::error!(trigger = name, %error, "a trigger could not be called");
            unavailable("the host could not judge the request; send it again in a moment")
        })?;
        sandboxes.observers.metrics.guest_ended(&tenant.id, &plugin.name, &received.usage);
        for line in &received.logs {
            tracing::debug!(trigger = name, level = %line.level, "{}", line.message);
        }
        received.result.map_err(|problem| self.concealed(problem, &received.logs))
    }

    /// An error that the caller cannot mend: what it was is in the log, under the id that the answer has.
    fn concealed(&self, problem: Problem, said: &[LogLine]) -> Problem {
        if problem.status < 500 {
            return problem;
        }
        let id = mint_id();
        let said: Vec<&str> = said.iter().map(|line| line.message.as_str()).collect();
        tracing::error!(%id, trigger = self.name, %problem, ?said, "a trigger could not judge a request");
        let detail = problem.detail.as_deref().unwrap_or("the request could not be judged");
        let detail = format!("{detail}; the host's log says why under the id {id}");
        problem.clone().detail(detail).data(json!({ "id": id }))
    }
}
