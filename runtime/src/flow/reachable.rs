//! Which tasks of a list nothing leads to. A warning: the flow runs, but not as it reads.

use super::definition::TaskIndex;
use super::reader::Reader;
use super::task::{Task, Then};

/// Warns of every task that no other task of its list leads to.
pub(crate) fn warn(tasks: &[Task], lists: &[Vec<TaskIndex>], reader: &mut Reader<'_>) {
    for list in lists {
        let mut reached = vec![false; list.len()];
        let mut next = vec![0];
        while let Some(position) = next.pop() {
            if position >= list.len() || reached[position] {
                continue;
            }
            reached[position] = true;
            successors(&tasks[list[position]], position, &mut next);
        }
        for (position, index) in list.iter().enumerate() {
            if !reached[position] {
                let task = &tasks[*index];
                let message = format!("nothing leads to the task `{}`", task.name);
                reader.warning(task.at, message);
            }
        }
    }
}

fn successors(task: &Task, position: usize, next: &mut Vec<usize>) {
    // A skipped task goes on with the next one, whatever its `then` says.
    let skipped = task.condition.is_some().then_some(Then::Continue);
    for then in skipped.into_iter().chain(task.kind.leads_to(task.then)) {
        match then {
            Then::Continue => next.push(position + 1),
            Then::Task(target) => next.push(target),
            Then::Exit | Then::End => {}
        }
    }
}
