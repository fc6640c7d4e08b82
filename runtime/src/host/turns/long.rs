//! The turns of calls that compute for long: on threads that stand back.
//!
//! Who is quick computes where it is polled. Whoever has had a whole turn goes on at a lower priority: the kernel then
//! gives the processor to the network, the journal and quick guests as soon as they want it, and not when a time slice ends.
//! A thread cannot take back that it stands back, so each such turn has a thread of its own. It costs a hundredth of the
//! turn.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{Builder, scope};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// How far the thread stands back, as `nice` counts.
const NICE: i32 = 10;
/// Bytes. The guest has a stack of its own; this is for what begins the turn.
const STACK: usize = 256 * 1024;

/// Polls `work` on a thread that stands back, and waits for it. The worker that waits leaves its other tasks to another.
pub(super) fn poll<F>(work: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output>
where
    F: Future<Output: Send> + Send,
{
    match Handle::try_current() {
        Ok(tokio) if tokio.runtime_flavor() == RuntimeFlavor::MultiThread => {
            block_in_place(|| poll_beside(&tokio, work, cx))
        }
        // Nobody else to leave the tasks to.
        _ => work.poll(cx),
    }
}

fn poll_beside<F>(tokio: &Handle, mut work: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output>
where
    F: Future<Output: Send> + Send,
{
    let (turn, waker) = (work.as_mut(), cx.waker());
    let polled = scope(|scope| {
        let turn = move || {
            stand_back();
            let _context = tokio.enter();
            turn.poll(&mut Context::from_waker(waker))
        };
        let thread = Builder::new().name("flowcell-long".to_owned()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, turn).ok()?;
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // Where there is no thread to be had, it is done here.
    polled.unwrap_or_else(|| work.poll(cx))
}

#[cfg(unix)]
fn stand_back() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a long call does not stand back");
    }
}

#[cfg(not(unix))]
fn stand_back() {}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    /// The name of the thread, how far it stands back, and whether it has timers.
    fn place() -> (Option<String>, i32, bool) {
        let priority = rustix::process::getpriority_process(None).expect("a thread has a priority");
        (std::thread::current().name().map(str::to_owned), priority, Handle::try_current().is_ok())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_long_turn_stands_back_and_its_worker_does_not() {
        let long = async {
            let mut work = pin!(async { place() });
            poll_fn(|cx| poll(work.as_mut(), cx)).await
        };
        let before = place().1;
        assert_eq!(long.await, (Some("flowcell-long".to_owned()), before + NICE, true));
        assert_eq!(place().1, before);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_panic_of_a_long_turn_is_that_of_its_task() {
        let task = tokio::spawn(async {
            let mut work = pin!(async { panic!("it breaks") });
            poll_fn(|cx| -> Poll<()> { poll(work.as_mut(), cx) }).await;
        });
        let panic = task.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"it breaks"));
    }
}
