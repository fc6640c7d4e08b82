//! Opening a host: folder, journal, sandbox, tenants, plugins, then what the journal says is deployed.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::addresses::Addresses;
use super::admin::{Sealer, audit, vault};
use super::deployed::schedule::Book;
use super::deployed::{Deployed, Deployer};
use super::folder::{code_cache, journal_error, journal_path, user_folder};
use super::journals::Journals;
use super::lifecycle::Lifecycle;
use super::observers::Observers;
use super::options::{Data, OpenError, Options};
use super::runs::{Runs, lease};
use super::steps::{Plugins, Sandboxes};
use super::tenant::{Tenant, Tenants};
use super::{Rooms, Runtime};
use crate::capability::http_request::{Egress, Shared, Trusted};
use crate::clock::Clock;
use crate::config::Config;
use crate::host::{Host, HostSettings};
use crate::id::{CallbackKey, TenantId};
use crate::journal::{DataLock, GroupSettings, Journal, MemoryStorage, SqliteStorage, Storage};
use crate::memory::Memory;

pub(super) async fn open(options: Options) -> Result<Runtime, OpenError> {
    let Options { config, data, clock, base_url, schedules, listeners, compiler } = options;
    let folder = match &data {
        Data::Memory => None,
        Data::Folder(folder) => Some(folder.as_path()),
    };
    let lock = folder.map(DataLock::acquire).transpose().map_err(journal_error)?;
    let storage = open_storage(folder, &config)?;
    let cache = match folder {
        Some(folder) => Some(code_cache(folder)?),
        None => user_folder().and_then(|folder| code_cache(&folder).ok()),
    };
    let tenants = tenants(&config, &*storage, Shared::new(listeners, config.proxy.as_ref()))?;
    let callback_key = CallbackKey::new(storage.key("callbacks").map_err(journal_error)?);
    let book = Book::new(schedules, storage.key("schedules").map_err(journal_error)?);
    let addresses = Addresses::new(base_url, callback_key);
    let observers = Arc::new(Observers::new());
    let settings = HostSettings { cache, compiler, ..HostSettings::default() };
    let sandboxes = sandboxes(&config, settings, clock.clone(), addresses.clone(), observers.clone()).await?;
    let accounts = tenants.all().map(|tenant| (tenant.id.clone(), tenant.memory.clone())).collect();
    let journals = Arc::new(Journals::new(
        Journal::new(storage, GroupSettings::default()),
        Journal::new(Arc::new(MemoryStorage::on_accounts(accounts)), GroupSettings::default()),
    ));
    let lifecycle = Arc::new(Lifecycle::new(clock, lock));
    let tenants = Arc::new(tenants);
    let deployed = Arc::new(Deployed::new(
        sandboxes.clone(),
        journals.clone(),
        tenants.clone(),
        lifecycle.clone(),
        addresses,
        book,
    ));
    let runs = Arc::new(Runs::new(deployed.clone(), observers.clone()));
    let deployer = Deployer { deployed, sandboxes: sandboxes.clone() };
    let sealer = Sealer::find(&config, folder)?;
    let rooms = Rooms { runs, deployer, sandboxes, journals, tenants, lifecycle, observers, sealer };
    let runtime = Runtime { rooms: Arc::new(rooms) };
    vault::load(&runtime.rooms, &config).await?;
    runtime.rooms.deployer.load().await.map_err(journal_error)?;
    // Last: a host that cannot start takes nothing from one that runs.
    lease::join(&runtime.rooms.journals, &runtime.rooms.lifecycle).await.map_err(journal_error)?;
    for tenant in &config.tenants {
        let told = audit::grants(&runtime.rooms, tenant).await;
        told.map_err(|problem| OpenError::Journal(problem.to_string()))?;
    }
    Ok(runtime)
}

fn tenants(config: &Config, storage: &dyn Storage, shared: Arc<Shared>) -> Result<Tenants, OpenError> {
    let memory = Memory::new(config.memory);
    let tenant = |configured: &crate::config::TenantConfig| {
        let id = TenantId::from(configured.name.as_str());
        let open_runs = storage.open_runs(&id).map_err(journal_error)?;
        let trusted = trusted(configured.ca.as_deref())?;
        let egress = Egress::new(id, &configured.allow, &configured.quota, shared.clone(), trusted);
        Ok(Arc::new(Tenant::new(configured, Arc::new(egress), open_runs, &memory)))
    };
    config.tenants.iter().map(tenant).collect()
}

/// The sandboxes with the plugins that ship with the host.
pub(super) async fn sandboxes(
    config: &Config,
    settings: HostSettings,
    clock: Clock,
    addresses: Addresses,
    observers: Arc<Observers>,
) -> Result<Arc<Sandboxes>, OpenError> {
    let largest = config.tenants.iter().map(|tenant| tenant.quota.memory).max().unwrap_or_default();
    let max_memory_bytes = largest.max(settings.max_memory_bytes);
    let host = Host::new(HostSettings { max_memory_bytes, guest_memory: config.guest_memory, ..settings })
        .map_err(|error| OpenError::Host(error.to_string()))?;
    let plugins = Plugins::default();
    let (mut evaluator, mut schemas) = (None, None);
    for part in flowcell_plugins::bundled() {
        let failed = |error| plugin_error(part.name, error);
        match part.name {
            flowcell_plugins::EXPRESSIONS => {
                evaluator = Some(host.evaluator(part.wasm).await.map_err(failed)?);
            }
            flowcell_plugins::SCHEMAS => schemas = Some(host.schemas(part.wasm).await.map_err(failed)?),
            _ => plugins.add(None, host.install_bundled(part.wasm).await.map_err(failed)?),
        }
    }
    let evaluator = evaluator.expect("the bundle holds the expression guest");
    let schemas = schemas.expect("the bundle holds the schema guest");
    Ok(Arc::new(Sandboxes { host, evaluator, schemas, plugins, clock, addresses, observers }))
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

fn plugin_error(name: &str, error: impl ToString) -> OpenError {
    OpenError::Plugin { name: name.to_owned(), reason: error.to_string() }
}
