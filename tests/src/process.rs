//! A process of the product: what it prints, line by line, its signals and its end.

use std::fmt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::sync::watch;

use crate::wait::within;

/// A running process. Dropped, it is killed: no test leaves one behind.
pub struct Process {
    child: Child,
    stdout: Text,
    stderr: Text,
}

/// How a process ended and what it printed.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

/// What a process has printed on one of its two streams.
#[derive(Clone)]
struct Text(watch::Receiver<Printed>);

#[derive(Default)]
struct Printed {
    text: String,
    over: bool,
}

impl Process {
    /// Takes a child whose streams are piped.
    pub(crate) fn follow(mut child: Child) -> Self {
        let stdout = Text::follow(child.stdout.take().expect("standard output is piped"));
        let stderr = Text::follow(child.stderr.take().expect("standard error is piped"));
        Self { child, stdout, stderr }
    }

    /// The most memory that it has had, in MiB.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[cfg(target_os = "linux")]
    pub fn peak_memory_mib(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    /// The memory that it has now, in MiB.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[cfg(target_os = "linux")]
    pub fn memory_mib(&self) -> u64 {
        self.status_mib("VmRSS:")
    }

    #[cfg(target_os = "linux")]
    fn status_mib(&self, field: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a process of this test");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel tells it");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        kibibytes / 1024
    }

    /// The ids of its children, in no order.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[cfg(target_os = "linux")]
    pub fn children(&self) -> Vec<u32> {
        let parent = self.id().to_string();
        let processes = std::fs::read_dir("/proc").expect("the kernel lists processes").flatten();
        let ids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
        ids.filter(|id: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // After the name, which may hold anything: the state, and who its parent is.
            stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(parent.as_str())
        })
        .collect()
    }

    /// Its id.
    ///
    /// # Panics
    /// When it was waited for.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process was not waited for yet")
    }

    /// The first line of its standard output in which `find` finds something.
    ///
    /// # Panics
    /// When the output ends, or time passes, without one.
    pub async fn stdout_line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = within(what, self.stdout.first(find)).await;
        found.unwrap_or_else(|| panic!("the process ended without: {what}\n{self}"))
    }

    /// The first line of its standard error in which `find` finds something.
    ///
    /// # Panics
    /// When the output ends, or time passes, without one.
    pub async fn stderr_line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = within(what, self.stderr.first(find)).await;
        found.unwrap_or_else(|| panic!("the process ended without: {what}\n{self}"))
    }

    /// What it has printed so far, standard output first.
    pub fn printed(&self) -> String {
        format!("{}{}", self.stdout.so_far(), self.stderr.so_far())
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGINT, as Ctrl-C sends it.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    fn signal(&self, signal: Signal) {
        let id =
            i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process id is a positive number");
        kill_process(id, signal).expect("one's own child can be sent a signal");
    }

    /// SIGKILL: no destructor runs, nothing is flushed. Returns when the process is gone.
    ///
    /// # Panics
    /// When the system cannot end it.
    pub async fn kill9(&mut self) {
        within("the end of a killed process", self.child.kill())
            .await
            .expect("one's own child can be killed");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn output(mut self) -> Output {
        let status: ExitStatus = within("the end of the process", self.child.wait())
            .await
            .expect("one's own child can be waited for");
        let stdout = within("the end of standard output", self.stdout.whole()).await;
        let stderr = within("the end of standard error", self.stderr.whole()).await;
        Output { code: status.code(), stdout, stderr }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--- stdout\n{}--- stderr\n{}---", self.stdout.so_far(), self.stderr.so_far())
    }
}

impl Output {
    /// Both streams, standard output first.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is no JSON: {error}\n{self}"))
    }

    /// The last line of standard error as JSON: the Problem of a failed command.
    ///
    /// # Panics
    /// When it is none.
    pub fn problem(&self) -> serde_json::Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("the last line is no JSON: {error}\n{self}"))
    }

    /// The same output, when the process exited with this code.
    ///
    /// # Panics
    /// When it did not.
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit code is another one\n{self}");
        self
    }

    /// The same output, when every one of these stands in it.
    ///
    /// # Panics
    /// When one does not.
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.text().contains(part), "`{part}` is missing\n{self}");
        }
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, stdout, stderr } = self;
        write!(f, "--- exit {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

impl Text {
    fn follow(mut source: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(Printed::default());
        tokio::spawn(async move {
            let mut bytes = vec![];
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = source.read(&mut chunk).await {
                bytes.extend_from_slice(&chunk[..length]);
                // Read again from the start: a character may have been cut in two.
                sender.send_modify(|printed| printed.text = String::from_utf8_lossy(&bytes).into_owned());
            }
            sender.send_modify(|printed| printed.over = true);
        });
        Self(receiver)
    }

    fn so_far(&self) -> String {
        self.0.borrow().text.clone()
    }

    /// None: the stream ended without such a line.
    async fn first<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut found = None;
        let seen = self.0.wait_for(|printed| {
            let whole = |line: &&str| printed.over || line.ends_with('\n');
            let mut lines = printed.text.split_inclusive('\n').filter(whole);
            found = lines.find_map(|line| find(line.trim_end_matches(['\n', '\r'])));
            found.is_some() || printed.over
        });
        // An error: the reader is gone, which it is only after the end of the stream.
        drop(seen.await);
        found
    }

    async fn whole(&mut self) -> String {
        // An error: the reader is gone, which it is only after the end of the stream.
        drop(self.0.wait_for(|printed| printed.over).await);
        self.so_far()
    }
}
