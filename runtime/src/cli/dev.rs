//! `flowcell dev`: a host that follows the files it was started with.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

use super::deployment::DocumentName;
use super::hosting::{self, Host};
use super::terminal::Style;
use super::timeline::Timeline;
use super::{Stop, deployment, signal, sources, terminal};
use crate::server::Access;
use crate::{Config, Document, Finding, Runtime, Severity, TenantId, TriggerDocument};

/// How long files must be quiet before they are read: editors save in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// Serves flows while they are written: follows every edit and shows every run
///
/// State is in ./.flowcell. The REST API needs no token and answers on this machine only. An edit with findings keeps
/// the version before and prints them.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files or folders of flows, triggers and plugins (.wasm)
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Decides what flows may reach, instead of: public addresses and loopback
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the journal and the plugins [default: .flowcell]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Show what each step is given and what it gives
    #[arg(long)]
    trace: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let end = signal::asked_to_end();
    let config = hosting::config(args.config.as_deref(), Config::local)?;
    // The files are read before a port or a folder is taken: what is wrong with them is said first.
    sources::read(&args.paths)?;

    let listener = hosting::bind(&config, args.listen).await?;
    let host = Host::open(config, listener, &hosting::data_folder(args.data)).await?;
    let mut follower = Follower::new(host.runtime.clone(), args.paths.clone());
    let update = follower.apply().await?;

    host.announce_address();
    if args.config.is_none() {
        terminal::note(Config::LOCAL_EGRESS);
    }
    if update.removed > 0 {
        let removed = terminal::count(update.removed, "document");
        terminal::note(&format!(
            "removed {removed} that an earlier start deployed and the files no longer hold"
        ));
    }
    host.announce_triggers();

    let edited = Arc::new(Notify::new());
    let _watcher = watch(&args.paths, edited.clone());
    tokio::spawn(follower.follow(edited));
    tokio::spawn(show_runs(host.runtime.clone(), args.trace));
    host.serve(Access::Loopback, end).await?;
    Ok(ExitCode::SUCCESS)
}

/// Shows every run on stderr until the process ends.
async fn show_runs(runtime: Runtime, trace: bool) {
    let mut changes = runtime.watch();
    let mut timeline = Timeline::new(Style::of_stderr(), trace, true);
    loop {
        match changes.recv().await {
            Ok(change) => timeline.lines(&change).iter().for_each(|line| terminal::note(line)),
            Err(RecvError::Lagged(count)) => terminal::note(&format!("({count} changes not shown)")),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells of edits until it is dropped. Some file systems cannot be watched: the host serves what it has then.
fn watch(paths: &[PathBuf], edited: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let watched = paths.to_owned();
    let tell = move |event: notify::Result<notify::Event>| match event {
        Ok(event) if !event.kind.is_access() => {
            if event.paths.iter().any(|path| concerns(&watched, path)) {
                edited.notify_one();
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "watching the files failed; edits may go unseen"),
    };
    let started = notify::recommended_watcher(tell).and_then(|mut watcher| {
        for path in paths {
            // Editors replace a file by renaming another one to its name: the folder is what stays.
            let folder = if path.is_dir() { path } else { parent(path) };
            watcher.watch(
                folder,
                if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive },
            )?;
        }
        Ok(watcher)
    });
    started
        .map_err(|error| tracing::warn!(%error, "the files cannot be watched: edits are not followed"))
        .ok()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether an event at `path` can change what the watched paths hold. What the journal writes does not count.
fn concerns(watched: &[PathBuf], path: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let path = absolute(path);
    watched.iter().any(|root| {
        let root = absolute(root);
        match path.strip_prefix(&root) {
            Err(_) => false,
            Ok(below) if below.as_os_str().is_empty() => true,
            Ok(below) => !below.ancestors().any(sources::is_skipped),
        }
    })
}

/// Keeps the host at what the files say.
struct Follower {
    runtime: Runtime,
    paths: Vec<PathBuf>,
    /// What the files held when they were last deployed: what is gone from them is removed.
    names: BTreeSet<DocumentName>,
    /// The trigger lines on the screen, so that only new ones are printed.
    printed: BTreeSet<String>,
}

/// What was changed so that the host is what the files say.
struct Update {
    documents: usize,
    removed: usize,
}

impl Follower {
    /// Begins with what is deployed, which may be the work of an earlier start.
    fn new(runtime: Runtime, paths: Vec<PathBuf>) -> Self {
        let tenant = TenantId::default_tenant();
        let flows =
            runtime.flows(&tenant).into_iter().map(|flow| DocumentName::Flow(flow.namespace, flow.name));
        let triggers = runtime.triggers(&tenant).into_iter();
        let triggers = triggers.map(|trigger| DocumentName::Trigger(trigger.namespace, trigger.name));
        let names = flows.chain(triggers).collect();
        Self { runtime, paths, names, printed: BTreeSet::new() }
    }

    async fn follow(mut self, edited: Arc<Notify>) {
        self.printed = hosting::trigger_lines(&self.runtime).into_iter().collect();
        loop {
            edited.notified().await;
            // Until nothing came for a while.
            while tokio::time::timeout(QUIET, edited.notified()).await.is_ok() {}
            match self.reload().await {
                Ok(text) => terminal::note(&text),
                Err(stop) => {
                    terminal::note(&stop.text);
                    terminal::note("not reloaded: what was deployed before stays");
                }
            }
        }
    }

    /// Makes the host what the files say, or leaves it as it is and says what is wrong with them.
    async fn apply(&mut self) -> Result<Update, Stop> {
        let sources = sources::read(&self.paths)?;
        let names: BTreeSet<_> = sources.documents.iter().map(DocumentName::of).collect();
        let gone: Vec<_> = self.names.difference(&names).cloned().collect();
        let tenant = TenantId::default_tenant();
        let orphans = orphans(&sources.documents, &gone);
        if !orphans.is_empty() {
            return Err(Stop::wrong(sources::lines(&orphans)));
        }
        let documents = sources.documents.clone();
        let warnings = deployment::deploy(&self.runtime, &tenant, sources).await?;
        warnings.iter().for_each(|warning| terminal::note(&warning.to_string()));
        // The files say what runs, even where their version is lower than the one before.
        let overtaken = deployment::overtaken(&self.runtime, &tenant, &documents);
        if !overtaken.is_empty() {
            for flow in overtaken {
                let name = DocumentName::Flow(flow.id.namespace, flow.id.name);
                deployment::remove(&self.runtime, &tenant, &name).await?;
            }
            deployment::deploy_documents(&self.runtime, &tenant, documents).await?;
        }
        for name in &gone {
            deployment::remove(&self.runtime, &tenant, name).await?;
        }
        let update = Update { documents: names.len(), removed: gone.len() };
        self.names = names;
        Ok(update)
    }

    async fn reload(&mut self) -> Result<String, Stop> {
        let update = self.apply().await?;
        let lines: BTreeSet<_> = hosting::trigger_lines(&self.runtime).into_iter().collect();
        for line in lines.difference(&self.printed) {
            terminal::say(line);
        }
        self.printed = lines;
        let mut text = format!("reloaded: {}", terminal::count(update.documents, "document"));
        if update.removed > 0 {
            text.push_str(&format!(", {} removed", update.removed));
        }
        Ok(text)
    }
}

/// Triggers that start a flow which the files no longer hold: it is still deployed when they are checked.
fn orphans(documents: &[Document], gone: &[DocumentName]) -> Vec<Finding> {
    let finding = |trigger: &TriggerDocument| {
        let flow = &trigger.flow;
        let (line, column) = trigger.place("/flow");
        let message = format!("the flow `{flow}` is in none of the files any more: name another one");
        let is_gone = gone.contains(&DocumentName::Flow(flow.namespace.clone(), flow.name.clone()));
        let file = trigger.file.clone();
        is_gone.then_some(Finding { file, line, column, message, severity: Severity::Error })
    };
    documents
        .iter()
        .filter_map(|document| match document {
            Document::Trigger(trigger) => finding(trigger),
            Document::Flow(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::data::testing::Scratch;
    use super::*;

    #[test]
    fn the_journals_own_writes_are_no_edits() {
        let watched = [PathBuf::from("/flows"), "/one/flow.yaml".into()];
        for (path, expected) in [
            ("/flows/a.yaml", true),
            ("/flows/more/a.yaml", true),
            ("/flows", true),
            ("/flows/.flowcell/journal.db", false),
            ("/flows/more/.a.yaml.swp", false),
            ("/flows/node_modules/x/package.json", false),
            ("/one/flow.yaml", true),
            ("/one/other.yaml", false),
        ] {
            assert_eq!(concerns(&watched, Path::new(path)), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn an_edit_is_followed_a_wrong_one_keeps_what_was_and_a_removed_file_is_removed() {
        let flow = |name: &str| {
            format!(
                "document: {{ dsl: 1.0.3, namespace: shop, name: {name}, version: 1.0.0 }}\ndo:\n- one: {{ set: {{ a: 1 }} }}\n"
            )
        };
        let scratch = Scratch::new();
        let file = scratch.write("one.yaml", &flow("one"));
        let runtime = hosting::in_memory(Config::local()).await.unwrap();
        let paths = vec![scratch.0.clone()];
        let mut follower = Follower::new(runtime.clone(), paths.clone());
        let names = || {
            let flows = runtime.flows(&TenantId::default_tenant());
            flows.into_iter().map(|flow| flow.name).collect::<Vec<_>>()
        };

        assert_eq!(follower.reload().await.unwrap(), "reloaded: 1 document");
        assert_eq!(names(), ["one"]);

        std::fs::write(&file, "document: [").unwrap();
        let stop = follower.reload().await.unwrap_err();
        assert!(stop.text.starts_with(&format!("{}:", file.display())), "{}", stop.text);
        assert_eq!(names(), ["one"]);

        std::fs::write(&file, flow("two")).unwrap();
        assert_eq!(follower.reload().await.unwrap(), "reloaded: 1 document, 1 removed");
        assert_eq!(names(), ["two"]);

        // Another process that is started on the same data folder takes over from there.
        std::fs::write(&file, flow("three")).unwrap();
        let mut follower = Follower::new(runtime.clone(), paths);
        assert_eq!(follower.apply().await.unwrap().removed, 1);
        assert_eq!(names(), ["three"]);
    }

    #[tokio::test]
    async fn a_lower_version_counts_and_a_renamed_flow_does_not_leave_its_trigger_alone() {
        let flow = |name: &str, version: &str| {
            format!(
                "document: {{ dsl: 1.0.3, namespace: shop, name: {name}, version: {version} }}\ndo:\n- one: {{ set: {{ a: 1 }} }}\n\
                 ---\ntrigger: in\nnamespace: shop\nuses: webhook:1.0.0@default\nwith: {{}}\nflow: one\n"
            )
        };
        let scratch = Scratch::new();
        let file = scratch.write("one.yaml", &flow("one", "1.0.0"));
        let runtime = hosting::in_memory(Config::local()).await.unwrap();
        let mut follower = Follower::new(runtime.clone(), vec![scratch.0.clone()]);
        let version = || runtime.flow(&TenantId::default_tenant(), "shop", "one").unwrap().version;
        for written in ["1.0.0", "2.0.0", "1.0.0"] {
            std::fs::write(&file, flow("one", written)).unwrap();
            follower.reload().await.unwrap();
            assert_eq!(version(), written);
        }
        std::fs::write(&file, flow("two", "1.0.0")).unwrap();
        let stop = follower.reload().await.unwrap_err();
        assert!(
            stop.text.contains("one.yaml:9:7: the flow `shop/one` is in none of the files"),
            "{}",
            stop.text
        );
        assert_eq!(version(), "1.0.0");
    }
}
