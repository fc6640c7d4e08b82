//! Opening a host: folder, journal, sandbox, tenants, plugins, then what the journal says is deployed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Runtime;
use super::audit;
use super::catalog::Deployed;
use super::core::{Core, Parts};
use super::deploy;
use super::lease;
use super::options::{Data, OpenError, Options};
use super::plugins::Plugins;
use super::retention;
use super::sandboxes::Sandboxes;
use super::schedule;
use super::scheduler;
use super::tenant::Tenant;
use super::vault::{self, Sealer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::capability::http_request::{Egress, Shared, Trusted};
use crate::config::{Config, Journal as JournalUrl};
use crate::flow::Document;
use crate::host::{CacheDir, Host, HostSettings};
use crate::id::{CallbackKey, TenantId};
use crate::journal::{
    DataLock, FlowRow, GroupSettings, Journal, MemoryStorage, PluginRow, SqliteStorage, Storage,
    StorageError, TriggerRow,
};

pub(super) async fn open(options: Options) -> Result<Runtime, OpenError> {
    let folder = match &options.data {
        Data::Memory => None,
        Data::Folder(folder) => Some(folder.clone()),
    };
    let lock = folder.as_deref().map(DataLock::acquire).transpose().map_err(journal_error)?;
    let durable = open_storage(folder.as_deref(), &options.config)?;
    let cache = match &folder {
        Some(folder) => Some(code_cache(folder)?),
        None => user_folder().and_then(|folder| code_cache(&folder).ok()),
    };
    let usual = HostSettings::default();
    let largest = options.config.tenants.iter().map(|tenant| tenant.quota.memory).max().unwrap_or_default();
    let max_memory_bytes = largest.max(usual.max_memory_bytes);
    let host = Host::new(HostSettings { cache, max_memory_bytes, ..usual })
        .map_err(|error| OpenError::Host(error.to_string()))?;

    let shared = Shared::new(options.listeners, options.config.proxy.as_ref());
    let mut tenants = HashMap::new();
    for tenant in &options.config.tenants {
        let id = TenantId::from(tenant.name.as_str());
        let open_runs = durable.open_runs(&id).map_err(journal_error)?;
        let trusted = trusted(tenant.ca.as_deref())?;
        let egress = Egress::new(id.clone(), &tenant.allow, &tenant.quota, shared.clone(), trusted);
        let egress = Arc::new(egress);
        tenants.insert(id.clone(), Arc::new(Tenant::new(tenant, egress, open_runs)));
    }

    let mut bundled = vec![];
    let mut evaluator = None;
    for part in flowcell_plugins::bundled() {
        if part.name == "jq" {
            evaluator =
                Some(host.evaluator(part.wasm).await.map_err(|error| plugin_error(part.name, error))?);
        } else {
            bundled.push(host.install(part.wasm).await.map_err(|error| plugin_error(part.name, error))?);
        }
    }
    let schedule_key = durable.key("schedules").map_err(journal_error)?;
    let callback_key = CallbackKey::new(durable.key("callbacks").map_err(journal_error)?);
    let sandboxes = Arc::new(Sandboxes {
        host,
        evaluator: evaluator.expect("the bundle holds the expression guest"),
        plugins: Plugins::default(),
    });
    let core = Core::new(Parts {
        clock: options.clock,
        steps: sandboxes.clone(),
        tenants,
        durable: Journal::new(durable, GroupSettings::default()),
        volatile: Journal::new(Arc::new(MemoryStorage::new()), GroupSettings::default()),
        base_url: options.base_url,
        callback_key,
        lock,
        schedules: schedule::Book::new(options.schedules, schedule_key),
        sealer: Sealer::find(&options.config, folder.as_deref())?,
    });
    vault::load(&core, &options.config).await?;
    for plugin in bundled {
        sandboxes.plugins.add(None, plugin);
    }
    let runtime = Runtime { core: Arc::new(core), sandboxes };
    load_plugins(&runtime).await?;
    load_deployed(&runtime).await?;
    // Last: a host that cannot start takes nothing from one that runs.
    lease::join(&runtime.core).await.map_err(journal_error)?;
    for tenant in &options.config.tenants {
        let told = audit::grants(&runtime.core, tenant).await;
        told.map_err(|problem| OpenError::Journal(problem.to_string()))?;
    }
    Ok(runtime)
}

/// Continues what was at work when the host stopped, and starts the timers.
pub(super) async fn start(core: &Arc<Core>) -> Result<(), StorageError> {
    lease::take_over(core).await?;
    if core.durable.is_shared() {
        tokio::spawn(lease::keep(core.clone()));
    }
    tokio::spawn(retention::run(core.clone()));
    for durable in [true, false] {
        tokio::spawn(scheduler::run(core.clone(), durable));
    }
    Ok(())
}

/// The certificates that a tenant trusts beside the machine's.
fn trusted(path: Option<&Path>) -> Result<Trusted, OpenError> {
    let Some(path) = path else { return Ok([].into()) };
    let refused = |why: String| OpenError::Config(format!("`ca`: {}: {why}", path.display()));
    let read = CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| refused(error.to_string()))?;
    match certificates.is_empty() {
        true => Err(refused("it holds no certificate: begin with -----BEGIN CERTIFICATE-----".to_owned())),
        false => Ok(certificates.into()),
    }
}

fn open_storage(folder: Option<&Path>, config: &Config) -> Result<Arc<dyn Storage>, OpenError> {
    let Some(folder) = folder else { return Ok(Arc::new(MemoryStorage::new())) };
    Ok(Arc::new(SqliteStorage::open(&journal_path(folder, config)).map_err(journal_error)?))
}

/// Where the journal of a host with this data folder is.
fn journal_path(folder: &Path, config: &Config) -> PathBuf {
    match &config.journal {
        None => folder.join("journal.db"),
        Some(JournalUrl::Sqlite(path)) => path.clone(),
    }
}

/// Copies the journal of a host, running or not, into the new file `to`: runs, flows, triggers, tenants' plugins, and
/// the keys of the journal. A host that is started on it goes on from there. Gives the bytes of the copy.
///
/// Every event that was acknowledged before the call is in it. The host is not slowed down by more than the reading.
///
/// ```
/// let folder = std::env::temp_dir().join("flowcell-no-data-here");
/// let error = flowcell::backup(&flowcell::Config::default(), &folder, "backup.db".as_ref()).unwrap_err();
/// assert!(error.to_string().starts_with("there is no journal at "), "{error}");
/// ```
///
/// # Errors
/// A sentence for the operator: there is no journal, `to` exists, or it cannot be written.
pub fn backup(config: &Config, data: &Path, to: &Path) -> Result<u64, OpenError> {
    SqliteStorage::copy(&journal_path(data, config), to).map_err(journal_error)
}

/// The compiled code of plugins is kept in the data folder, sealed with a key that never leaves it.
fn code_cache(folder: &Path) -> Result<CacheDir, OpenError> {
    let key = folder.join("host.key");
    let seed = match fs::read_to_string(&key) {
        Ok(seed) if !seed.trim().is_empty() => seed,
        _ => {
            let seed = crate::id::mint_token();
            write_private(&key, &seed)
                .map_err(|error| OpenError::Journal(format!("cannot write {}: {error}", key.display())))?;
            seed
        }
    };
    let key = blake3::derive_key("flowcell compiled-code cache", seed.trim().as_bytes());
    Ok(CacheDir { path: folder.join("cache"), key })
}

/// Where a host without a data folder keeps compiled code, so that the second `flowcell run` is quick: the user's own
/// cache folder. None, when there is no place that is only this user's.
fn user_folder() -> Option<PathBuf> {
    let caches = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let caches = caches.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    let folder = caches.join("flowcell");
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).ok()?;
    Some(folder)
}

/// Writes a file that only its owner may read: whole and on the disk, or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let partial = path.with_extension("partial");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Plugins that tenants installed. One that this version cannot use is left out with a log line.
async fn load_plugins(runtime: &Runtime) -> Result<(), OpenError> {
    let Runtime { core, sandboxes } = runtime;
    let mut rows = core.durable.ask(|storage| storage.list::<PluginRow>()).await.map_err(journal_error)?;
    rows.retain(|row| core.tenants.contains_key(&row.tenant));
    for row in rows {
        match sandboxes.host.install(&row.wasm).await {
            Ok(plugin) => sandboxes.plugins.add(Some(&row.tenant), plugin),
            // The rest of the host must start.
            Err(error) => {
                let (tenant, plugin) = (&row.tenant, format!("{}:{}", row.name, row.version));
                tracing::error!(%tenant, plugin, %error, "the plugin cannot be used by this version; install it again");
            }
        }
    }
    Ok(())
}

/// A row that this version cannot use is left out with a log line: the rest of the host must start.
async fn load_deployed(runtime: &Runtime) -> Result<(), OpenError> {
    let core = &runtime.core;
    let read = core
        .durable
        .ask(|storage| Ok((storage.rows(FlowRow::installed())?, storage.list::<TriggerRow>()?)))
        .await;
    let (flows, triggers) = read.map_err(journal_error)?;
    for FlowRow { tenant, id, source, installed_at, .. } in flows {
        match crate::flow::read(&source, &id.to_string()).as_deref() {
            Ok([Document::Flow(flow)]) => {
                let deployed = Deployed { flow: flow.clone(), installed_at };
                core.catalog.write().expect("no panic while held").put_flow(&tenant, deployed);
            }
            _ => {
                tracing::error!(%tenant, flow = %id, "the deployed flow is not valid for this version; deploy it again");
            }
        }
    }
    for row in triggers {
        let TriggerRow { tenant, namespace, name, source, token, enabled } = row;
        let label = format!("{namespace}/{name}");
        match crate::flow::read(&source, &label).as_deref() {
            Ok([Document::Trigger(document)]) => {
                match deploy::trigger(runtime, &tenant, document.clone(), token, enabled) {
                    Ok(trigger) => {
                        core.catalog.write().expect("no panic while held").put_trigger(Arc::new(trigger));
                    }
                    Err(problem) => {
                        tracing::error!(%tenant, trigger = label, %problem, "the trigger cannot be served");
                    }
                }
            }
            _ => {
                tracing::error!(%tenant, trigger = label, "the deployed trigger is not valid for this version");
            }
        }
    }
    Ok(())
}

fn journal_error(error: StorageError) -> OpenError {
    OpenError::Journal(error.to_string())
}

fn plugin_error(name: &str, error: impl ToString) -> OpenError {
    OpenError::Plugin { name: name.to_owned(), reason: error.to_string() }
}
