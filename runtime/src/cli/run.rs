//! `flowcell run`.

use std::io::Read as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::terminal::Style;
use super::timeline::Timeline;
use super::{Stop, deployment, hosting, signal, sources, terminal};
use crate::problem::kind;
use crate::{Config, Document, Problem, RunChange, RunId, RunView, Runtime, Status, StepRecord, TenantId};

/// The longest that steps which were cut off may take to undo what they began.
const UNDONE_WITHIN: Duration = Duration::from_secs(10);
/// The longest wait for the rest of the timeline when the run itself is over.
const LAST_CHANGES_WITHIN: Duration = Duration::from_millis(200);

/// Runs a flow once, in memory, and prints its output
///
/// The output is JSON on stdout; the timeline of the steps goes to stderr. Ends with code 0 when the run completed, 1
/// when it faulted (its problem as JSON is the last line on stderr), 2 when the document or the arguments are wrong.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The flow's file; of several flows in it, the first is run
    file: PathBuf,
    /// The run's input: JSON, @FILE, or - for stdin; null without it
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    input: Option<String>,
    /// The configuration, which decides what the flow may reach
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show what each step is given and what it gives
    #[arg(long)]
    trace: bool,
    /// A plugin that the flow uses; may be given several times. Those beside FILE and in a folder `plugins` there are found
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Vec<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Stop> {
    let config = hosting::config(args.config.as_deref(), Config::local)?;
    let input = input(args.input.as_deref())?;
    let mut sources = sources::read(&paths(&args.file))?;
    for path in &args.plugin {
        sources.plugins.push(sources::plugin(path)?);
    }
    // No trigger is called here.
    sources.documents.retain(|document| matches!(document, Document::Flow(_)));
    let Some(Document::Flow(flow)) = sources.documents.first() else {
        return Err(Stop::wrong(format!("{}: there is no flow in it", args.file.display())));
    };
    let (namespace, name) = (flow.id.namespace.clone(), flow.id.name.clone());

    let tenant = TenantId::default_tenant();
    if args.config.is_none() {
        terminal::note(Config::LOCAL_EGRESS);
    }
    let runtime = hosting::in_memory(config).await?;
    for warning in deployment::deploy(&runtime, &tenant, sources).await? {
        terminal::note(&warning.to_string());
    }
    let mut timeline = Timeline::new(Style::of_stderr(), args.trace, false);
    carry_out(&runtime, &tenant, (&namespace, &name), input, &mut timeline).await
}

async fn carry_out(
    runtime: &Runtime,
    tenant: &TenantId,
    (namespace, name): (&str, &str),
    input: Value,
    timeline: &mut Timeline,
) -> Result<ExitCode, Stop> {
    runtime.start().await.map_err(failed)?;
    let mut changes = runtime.watch();
    let id = runtime.start_run(tenant, namespace, name, None, input).await.map_err(failed)?;
    let mut asked_to_end = pin!(signal::asked_to_end());
    let mut over = pin!(wait(runtime, tenant, id));
    let mut interrupted = false;
    let mut stranded = None;
    let mut shown_to_end = false;
    let run = loop {
        tokio::select! {
            biased;
            change = changes.recv() => match change {
                Ok(change) => {
                    shown_to_end |= show(timeline, &change, id);
                    if let Some(step) = waits_for_ever(&change, id).filter(|_| stranded.is_none()) {
                        stranded = Some(unreachable(step));
                        runtime.cancel(tenant, id, "nobody can call it back").await.map_err(failed)?;
                    }
                }
                Err(RecvError::Lagged(count)) => terminal::note(&format!("({count} changes not shown)")),
                Err(RecvError::Closed) => {}
            },
            () = &mut asked_to_end, if !interrupted => {
                interrupted = true;
                terminal::note("interrupted: the run is cancelled");
                runtime.cancel(tenant, id, "interrupted").await.map_err(failed)?;
            }
            run = &mut over => break run.map_err(failed)?,
        }
    };
    // Those that wait for a run and those that watch it hear of its end in no order.
    while !shown_to_end && let Ok(Ok(change)) = timeout(LAST_CHANGES_WITHIN, changes.recv()).await {
        shown_to_end = show(timeline, &change, id);
    }
    runtime.drain(UNDONE_WITHIN).await;
    match stranded {
        Some(problem) => Err(failed(problem)),
        None if interrupted => Ok(ExitCode::from(130)),
        None => Ok(report(&run)),
    }
}

/// The step that only a callback would wake.
fn waits_for_ever(change: &RunChange, id: RunId) -> Option<&StepRecord> {
    match change {
        RunChange::Step { run, step, .. } if *run == id => {
            (step.status == Status::Suspended && step.due_at.is_none()).then_some(step)
        }
        _ => None,
    }
}

fn unreachable(step: &StepRecord) -> Problem {
    let mut problem = Problem::new(kind::CONFIGURATION, "nobody can call the step back", 500).detail(format!(
        "`{}` waits for a request to its callback address, and `flowcell run` serves none: try the flow with `flowcell dev`",
        step.name
    ));
    problem.instance = Some(step.reference.clone());
    problem
}

async fn wait(runtime: &Runtime, tenant: &TenantId, id: RunId) -> Result<RunView, Problem> {
    const LOOK_AGAIN: Duration = Duration::from_secs(3600);
    loop {
        let run = runtime.wait(tenant, id, LOOK_AGAIN).await?.expect("a run that was started is there");
        if run.summary.status.is_final() {
            return Ok(run);
        }
    }
}

/// Says whether that was the end of the run.
fn show(timeline: &mut Timeline, change: &RunChange, id: RunId) -> bool {
    if change.run() != id {
        return false;
    }
    timeline.lines(change).iter().for_each(|line| terminal::note(line));
    matches!(change, RunChange::Run { run, .. } if run.status.is_final())
}

fn report(run: &RunView) -> ExitCode {
    match (run.summary.status, &run.problem) {
        (Status::Completed, _) => {
            terminal::say_json(&run.output);
            ExitCode::SUCCESS
        }
        (_, Some(problem)) => {
            terminal::note(&as_json(problem));
            ExitCode::from(1)
        }
        (status, None) => {
            terminal::note(&as_json(&Problem::new(
                "about:blank",
                format!("the run is {status:?}").to_lowercase(),
                500,
            )));
            ExitCode::from(1)
        }
    }
}

fn failed(problem: Problem) -> Stop {
    Stop::failed(as_json(&problem))
}

fn as_json(problem: &Problem) -> String {
    serde_json::to_string(problem).expect("a problem is strings, numbers and JSON")
}

/// The flow's file, and the plugins beside it.
fn paths(file: &std::path::Path) -> Vec<PathBuf> {
    let folder = match file.parent() {
        Some(folder) if folder != std::path::Path::new("") => folder,
        _ => std::path::Path::new("."),
    };
    let mut paths = vec![file.to_owned()];
    for folder in [folder.to_owned(), folder.join("plugins")] {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut plugins: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
        plugins.sort();
        paths.extend(plugins);
    }
    paths
}

/// `JSON`, `@FILE` or `-`.
pub(super) fn input(text: Option<&str>) -> Result<Value, Stop> {
    let (text, from) = match text {
        None => return Ok(Value::Null),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Stop::wrong(format!("--input -: stdin cannot be read: {error}")))?;
            (text, "stdin".to_owned())
        }
        Some(argument) => match argument.strip_prefix('@') {
            None => (argument.to_owned(), "--input".to_owned()),
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Stop::wrong(format!("--input @{file}: {error}")))?;
                (text, file.to_owned())
            }
        },
    };
    serde_json::from_str(&text).map_err(|error| Stop::wrong(format!("{from} is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::data::testing::Scratch;
    use super::*;

    #[test]
    fn input_comes_from_the_argument_or_from_a_file() {
        let scratch = Scratch::new();
        let file = scratch.write("in.json", "[1]");
        assert_eq!(input(None).unwrap(), Value::Null);
        assert_eq!(input(Some("{\"a\":1}")).unwrap()["a"], 1);
        assert_eq!(input(Some(&format!("@{}", file.display()))).unwrap()[0], 1);
        for (wrong, says) in [("{a:1}", "--input is not JSON: "), ("@/nowhere", "--input @/nowhere: ")] {
            let stop = input(Some(wrong)).unwrap_err();
            assert_eq!(stop.code, 2);
            assert!(stop.text.starts_with(says), "{}", stop.text);
        }
    }

    #[test]
    fn plugins_are_found_beside_the_flow_and_in_the_folder_of_that_name() {
        let scratch = Scratch::new();
        let file = scratch.write("flow.yaml", "");
        let beside = scratch.write("beside.wasm", "");
        let plugin = scratch.write("plugins/a.wasm", "");
        scratch.write("plugins/readme.md", "");
        assert_eq!(paths(&file), [file, beside, plugin]);
    }
}
